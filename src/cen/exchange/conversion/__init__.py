"""Any network becomes one of several streams: its norms are exchanged for those of streams.

Read in this order: ``converting`` (the functions that are called), ``plain_norms`` (what a layer
computes), ``norm_choice`` and ``residual_branches`` (what becomes of it), ``conversion_summary``
(which says so), ``multistream`` (the network that comes out).

When that is first called, ``first_pass`` looks at what cannot be read off the layers: ``row_order``
shows whose rows the norms get, and ``shared_norms`` finds those that are no modules.

Layers of streams beside the norms are ``private_stems``, for images of other numbers of channels,
and ``private_convolution``, an ablation.
"""
