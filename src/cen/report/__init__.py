"""Pictures, tables and pages, made from the files of a run folder alone (no torch needed)."""

from cen.report.colours import colorize, colorize_depth, overlay, palette
from cen.report.overview import figure_overview
from cen.report.panels import Panel, PanelOutput, load_panel, save_panel
from cen.report.run_page import write_report

__all__ = [
    "Panel",
    "PanelOutput",
    "colorize",
    "colorize_depth",
    "figure_overview",
    "load_panel",
    "overlay",
    "palette",
    "save_panel",
    "write_report",
]
