"""Studies: tables of rows trained alike, as one command (``cen study``).

A study is a YAML file (``spec``): a base configuration, data sets, rows that change something,
budgets and seeds. Its runs (``grid``) are made by the ordinary commands, one process each
(``scheduler``), into folders named by the hash of what they compute (``identity``, ``run_store``).
Tables, intervals and the page are made from those folders alone (``results``, ``study_tables``,
``study_files``). Nothing here imports torch before a network has to be counted.
"""
