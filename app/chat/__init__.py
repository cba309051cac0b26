"""A small chat service in front of a language model behind any OpenAI-compatible URL, with a web page for it.

It knows one URL and one model name, and nothing of how a model is made, so it does not change when the model's version
does. It imports nothing of the pipeline: copy the folder, and install ``fastapi``, ``uvicorn``, ``openai`` and
``pydantic-settings``.
"""
