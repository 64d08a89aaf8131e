from .colours import colorize, colorize_depth, overlay, palette
from .overview import figure_overview
from .panels import Panel, PanelOutput, load_panel, save_panel
from .run_page import write_report

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
