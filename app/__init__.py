"""An application that asks for forecasts. It knows one URL and one model name, and nothing of how a model is made.

It imports nothing of the pipeline, so it stands alone: copy the folder, and install ``requests`` and ``rich`` (and
``kserve`` for the second example).
"""
