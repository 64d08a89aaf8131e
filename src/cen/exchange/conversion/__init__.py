"""Any network becomes one of several streams: its norms are exchanged for those of streams.

Read in this order: ``converting`` (the functions that are called), ``plain_norms`` (what a layer
computes), ``norm_choice`` (what becomes of it), ``replacement`` (how another takes its place),
``conversion_summary`` (which says so), ``multistream`` (the network that comes out).

When that is first called, ``first_pass`` looks at what cannot be read off the layers, by a
``trial_pass`` or several: ``row_order`` shows whose rows the norms get, ``image_entries`` where
images enter, and ``shared_norms`` finds norms that are no modules.

Layers of streams beside the norms are ``private_stems``, for images of other numbers of channels,
and ``private_convolution``, an ablation.
"""
