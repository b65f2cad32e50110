"""``trivium serve``: models behind HTTP. An OpenAI-compatible API, endpoints for tasks and views, and the playground.

A request goes through ``guard.py`` (who may ask, from where, how much), ``bodies.py`` (strict JSON), a file of routes,
and ``scheduler.py``, whose one thread does all computing. ``app.py`` puts them together.
"""
