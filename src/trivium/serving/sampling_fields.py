"""The fields of a request that say how a text is written: OpenAI's, and those that other servers have added to them."""

import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trivium.generation.sampling import Sampling
from trivium.serving.bodies import Listed
from trivium.serving.refusals import Refusal
from trivium.serving.settings import Caps

Strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(BaseModel):
    """What a stream tells beside the text."""

    model_config = Strict
    include_usage: bool = Field(False, description="A last chunk without choices counts the tokens of all.")


class JsonSchema(BaseModel):
    """A schema with its name. ``strict`` changes nothing: the text always has the form."""

    model_config = Strict
    name: str = Field("answer", max_length=64)
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """The form of the text."""

    model_config = Strict
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @property
    def schema_text(self) -> dict[str, Any] | None:
        """The JSON schema that the text must fit."""
        if self.type == "json_schema":
            if self.json_schema is None:
                raise Refusal(
                    400, "response_format is json_schema and has no json_schema: give one", param="response_format"
                )
            return self.json_schema.schema_
        return {"type": "object"} if self.type == "json_object" else None


class SamplingFields(BaseModel):
    """What completions and chats have in common."""

    model_config = Strict

    model: str | None = Field(None, description="A name of /v1/models; if not given, the first model that can.")
    n: int = Field(1, ge=1, description="How many texts.")
    stop: str | Listed[str] | None = Field(None, description="The text ends before any of these.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="The same seed gives the same text.")
    temperature: float = Field(1.0, ge=0, le=100, description="0: always the most probable token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Only the tokens that make up this probability.")
    top_k: int = Field(0, ge=-1, lt=2**31, description="Only the K most probable tokens; 0: all.")
    min_p: float = Field(0.0, ge=0, le=1, description="Only tokens at least this probable, of the best.")
    typical_p: float = Field(1.0, gt=0, le=1, description="Only the tokens nearest to the mean surprise.")
    repetition_penalty: float = Field(1.0, ge=0.01, le=100, description="Above 1: tokens already there are unlikely.")
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        None, description="By a token's number, what is added to its logit."
    )
    min_tokens: int = Field(0, ge=0, description="No end before this many tokens.")
    response_format: ResponseFormat | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, max_length=512, description="Of your own use; not looked at.")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        """A field that is null is one that is not given, as clients send them."""
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    def sampling(self, max_tokens: int, top: int, caps: Caps) -> Sampling:
        """As the engine takes it; refuses what is over the caps."""
        if self.n > caps.choices:
            raise Refusal(400, f"n is {self.n}: at most {caps.choices} texts are written for a prompt", param="n")
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > caps.stops:
            raise Refusal(400, f"stop has {len(stops)} strings: at most {caps.stops} are looked for", param="stop")
        if any(not each or len(each) > caps.stop_characters for each in stops):
            raise Refusal(
                400, f"stop has a string that is empty or longer than {caps.stop_characters} characters: shorten it",
                param="stop",
            )  # fmt: skip
        if top > caps.log_probabilities:
            raise Refusal(400, f"{top} alternatives are asked for: at most {caps.log_probabilities}", param="logprobs")
        if self.stream_options is not None and not self.stream:
            raise Refusal(400, "stream_options needs stream: true", param="stream_options")
        biases = self.logit_bias or {}
        for token in biases:
            if not (token.isascii() and token.isdecimal() and len(token) < 10):
                raise Refusal(400, f"logit_bias names {token[:40]!r}: name a token by its number", param="logit_bias")
        if len(biases) > caps.biases:
            raise Refusal(400, f"logit_bias has {len(biases)} tokens: at most {caps.biases}", param="logit_bias")
        return Sampling(
            max_tokens=max_tokens, temperature=self.temperature, top_k=max(0, self.top_k), top_p=self.top_p,
            min_p=self.min_p, typical_p=self.typical_p, repetition_penalty=self.repetition_penalty,
            seed=secrets.randbits(63) if self.seed is None else self.seed, stop=tuple(stops),
            min_tokens=self.min_tokens, presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty, logit_bias=tuple(f"{t}={bias}" for t, bias in biases.items()),
            json_schema=self.response_format.schema_text if self.response_format is not None else None,  # type: ignore[arg-type]
            top_log_probabilities=top,
        )  # fmt: skip
