"""The page of a network: upload what there is of a scene, see what each stream makes of it.

Read in this order: ``uploads`` (what is taken in), ``answers`` (what is shown), ``page`` (Gradio).
"""
