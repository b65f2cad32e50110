"""Chat templates by name, for models that come without one, in our own wording of the published layouts.

``chatml`` needs a model that knows its control tokens; ``alpaca`` (Taori et al. 2023) and ``plain`` are text alone, so
that any decoder can go on from them; its end token closes a reply, so that a model can learn to stop.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from trivium.errors import DataError, SettingsError


@dataclass(frozen=True)
class ChatTemplate:
    """Jinja text, and strings at which a reply ends where no control token ends it."""

    text: str
    stop: tuple[str, ...] = ()


_CHATML = """\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

_LLAMA_2 = """\
{% set system = messages[0].content if messages[0].role == 'system' else none %}\
{% for message in messages if message.role != 'system' %}\
{% if message.role == 'user' %}{{ bos_token }}[INST] \
{% if loop.first and system is not none %}<<SYS>>
{{ system }}
<</SYS>>

{% endif %}{{ message.content }} [/INST]\
{% else %} {{ message.content }} {{ eos_token }}{% endif %}{% endfor %}"""

_LLAMA_3 = """\
{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>

{{ message.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""

_ALPACA = """\
{% for message in messages %}{% if message.role == 'system' %}{{ message.content }}

{% elif message.role == 'user' %}### Instruction:
{{ message.content }}

### Response:
{% else %}{{ message.content }}{{ eos_token }}

{% endif %}{% endfor %}"""

_PLAIN = """\
{% for message in messages %}{% if message.role == 'system' %}{{ message.content }}
{% elif message.role == 'user' %}User: {{ message.content }}
{% else %}Assistant: {{ message.content }}{{ eos_token }}
{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""

CHAT_TEMPLATES: dict[str, ChatTemplate] = {
    "chatml": ChatTemplate(_CHATML, ("<|im_end|>",)),
    "llama-2": ChatTemplate(_LLAMA_2),
    "llama-3": ChatTemplate(_LLAMA_3, ("<|eot_id|>",)),
    "alpaca": ChatTemplate(_ALPACA, ("### Instruction:",)),
    "plain": ChatTemplate(_PLAIN, ("\nUser:", "\nAssistant:")),
}


def chat_template(name: str | Path) -> ChatTemplate:
    """By its name, or a file of Jinja text (``.jinja``)."""
    path = Path(name)
    if str(name) in CHAT_TEMPLATES:
        return CHAT_TEMPLATES[str(name)]
    if path.suffix == ".jinja":
        try:
            return ChatTemplate(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            raise DataError(f"{path} cannot be read: {problem}") from None
    near = difflib.get_close_matches(str(name), CHAT_TEMPLATES, n=1)
    advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(CHAT_TEMPLATES)}"
    raise SettingsError(f"there is no chat template {str(name)!r}: {advice}, or give a file ending in .jinja")
