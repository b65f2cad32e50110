"""What a server is told when it starts: where it listens, who may ask, and how much of everything there may be."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Caps:
    """The most that a request may hold; what is over is refused with 4xx before it costs anything."""

    body_bytes: int = 8 << 20
    header_bytes: int = 64 << 10
    headers: int = 100
    choices: int = 8  # n, and best_of
    log_probabilities: int = 20
    biases: int = 1024  # tokens in logit_bias
    stops: int = 16
    stop_characters: int = 64
    messages: int = 1024
    reply: int = 4096  # tokens, of a model without a context, where nobody says how many
    texts: int = 256  # of one request: prompts, inputs of embeddings, rows
    text_characters: int = 1 << 20
    view_numbers: int = 4_000_000  # of one view's answer
    depth: int = 64  # of JSON
    values: int = 1 << 18  # of JSON: numbers, texts and what holds them
    containers: int = 1 << 15  # of JSON: lists and objects
    fields: int = 2048  # of one object
    url_bytes: int = 8 << 10
    connections: int = 512
    header_seconds: float = 10.0  # until a request's headers have come
    body_seconds: float = 30.0  # until its body has
    idle_seconds: float = 5.0  # between two requests of a connection
    write_seconds: float = 30.0  # that a client may leave unread what was sent
    linger_seconds: float = 1.0  # in which what a refused client still sends is thrown away


@dataclass(frozen=True)
class ServeSettings:
    """``origins``: pages elsewhere that may ask; ``hosts``: names in the Host header beyond those of this machine.
    ``running``: texts that are written at once by one model; ``waiting``: requests that wait, over all keys;
    ``per_key``: requests of one key that are answered or wait; ``deadline``: seconds that a request may take."""

    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[str, ...] = field(default=(), repr=False)
    insecure: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    running: int = 16
    waiting: int = 256
    per_key: int = 128
    deadline: float = 600.0
    drain: float = 10.0
    context: int | None = None  # tokens of a text that is written; None: the model's, or as many as memory has room for
    runs: str | None = None  # the folder whose runs the playground shows
    caps: Caps = Caps()
