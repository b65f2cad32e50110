"""Teaching a language model to answer as people want: on instructions, on preferences, on rewards.

Here are batches and losses, functions of token ids and scores; files, runs and reports are in ``verbs/``.
"""
