"""Studies: tables of rows trained alike, as one command (``cen study``).

A study is a YAML file: a base configuration, data sets, rows that change something, budgets and
seeds. Its runs are made by the ordinary commands (``cen train``, ``cen evaluate``), one process
each, into folders named by the hash of what they compute. Tables, intervals and the page are made
from those folders alone. Nothing here imports torch before a network has to be counted.
"""

from cen.studies.columns import Column, parse_column
from cen.studies.datasets import choose_data, make_missing, roots_of
from cen.studies.grid import (
    Choice,
    Row,
    Run,
    evaluation_options,
    everything,
    expand,
    in_grid,
    rows_of,
)
from cen.studies.identity import data_identity, run_hash
from cen.studies.intervals import Difference, Summary, paired_difference, summarise
from cen.studies.progress import Board
from cen.studies.resources import Slot, chosen_threads, make_slots, usable_cores, visible_gpus
from cen.studies.results import Record, collect, csv_text, note_figures
from cen.studies.run_costs import costs_of
from cen.studies.run_store import Store, needs_work
from cen.studies.scheduler import Outcome, Scheduler
from cen.studies.spec import Study, find_study, shipped
from cen.studies.study_files import all_tables, output_folder, write_outputs
from cen.studies.study_tables import Table, comparison_tables, published_table, score_tables

__all__ = [
    "Board",
    "Choice",
    "Column",
    "Difference",
    "Outcome",
    "Record",
    "Row",
    "Run",
    "Scheduler",
    "Slot",
    "Store",
    "Study",
    "Summary",
    "Table",
    "all_tables",
    "choose_data",
    "chosen_threads",
    "collect",
    "comparison_tables",
    "costs_of",
    "csv_text",
    "data_identity",
    "evaluation_options",
    "everything",
    "expand",
    "find_study",
    "in_grid",
    "make_missing",
    "make_slots",
    "needs_work",
    "note_figures",
    "output_folder",
    "paired_difference",
    "parse_column",
    "published_table",
    "roots_of",
    "rows_of",
    "run_hash",
    "score_tables",
    "shipped",
    "summarise",
    "usable_cores",
    "visible_gpus",
    "write_outputs",
]
