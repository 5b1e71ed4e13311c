"""All settings: environment (SHOEBOX_*) over a TOML file over defaults."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tasks.errors import ConfigError
from tasks.secret_file import absolute, with_password


def config_file() -> Path:
    """The TOML file: SHOEBOX_CONFIG, else config.toml in the XDG configuration folder."""
    if explicit := os.environ.get("SHOEBOX_CONFIG"):
        return Path(explicit)
    return config_home() / "shoebox" / "config.toml"


def config_home() -> Path:
    """The user's folder of settings (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def data_home() -> Path:
    """The user's folder of what programs keep (same)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _default_data_dir() -> Path:
    return data_home() / "shoebox"


def _clock_time(text: str) -> str:
    if text and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("must be a time of the day such as 07:30, or empty")
    return text


def _webhook_url(url: SecretStr) -> SecretStr:
    """The message never holds the address: it may hold a password or a token."""
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not text.isprintable() or " " in text:
        raise ValueError("must be an address that begins with http:// or https://")
    return url


def _redis_url(url: SecretStr) -> SecretStr:
    """A password with `/`, `?` or `#` in it would be taken for the name of a host, which is shown.

    The message never holds the address.
    """
    try:
        parts = urlsplit(url.get_secret_value())
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme in {"redis", "rediss"} and "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("must have special characters of the user name and password as %XX")
    return url


ClockTime = Annotated[str, AfterValidator(_clock_time)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
WebhookUrl = Annotated[SecretStr, AfterValidator(_webhook_url)]


class Settings(BaseSettings):
    """One object for the whole program. Each field is SHOEBOX_<NAME> in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="SHOEBOX_", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(default_factory=_default_data_dir)
    """Ledger, spool, logs and the embedded Redis. Created with mode 0700."""
    redis_password_file: Annotated[Path, AfterValidator(absolute)] | None = None
    """A file that holds the password of `redis_url`, which then has none."""
    redis_url: RedisUrl | None = None
    """A Redis of your own (redis://, rediss://, unix://). Without it home starts an embedded one."""
    redis_port: int = Field(default=0, ge=0, le=65535)
    """Let the embedded Redis listen on this loopback port as well as on its socket; 0 means socket only."""

    cpu_concurrency: int = Field(default_factory=lambda: max(1, (os.cpu_count() or 2) - 1), ge=1)
    """Processes on the cpu queue at most. One core is left free for home."""
    cpu_concurrency_min: int = Field(default=1, ge=1)
    """Processes on the cpu queue when there is nothing to do; further ones come with the work."""
    cpu_idle_seconds: float = Field(default=60.0, gt=0)
    """A process of the cpu queue that was not needed for so long ends."""
    cpu_free_memory_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    """No further process of the cpu queue is started while less memory than this is free."""
    cpu_load_per_core: float = Field(default=2.0, ge=0)
    """Nor while the load average of the last minute is more than this for each core; 0: never mind."""
    home_concurrency: int = Field(default=2, ge=2)
    """Processes on the home queue. One of them is always kept free for recording results."""

    gpu_child_megabytes: int = Field(default=0, ge=0)
    """A process of the gpu queue that has grown beyond this is replaced after its unit, which costs loading
    the models again. 0: 2,000, and 8,000 with a GPU, because CUDA's libraries alone may take 2,000."""
    cpu_child_megabytes: int = Field(default=1000, ge=0)
    """The same for processes of the cpu queue, which load no models. 0: never."""
    max_attempts: int = Field(default=3, ge=1)
    """A unit that kills or hangs its worker this often is quarantined."""
    lease_seconds: float = Field(default=12.0, gt=1)
    """A running unit whose lease was not renewed for so long counts as dead."""
    grace_seconds: float = Field(default=6.0, gt=0)
    """A queued unit that is found neither in Redis nor with a worker for so long is issued again."""
    tick_seconds: float = Field(default=2.0, gt=0)
    """How often home looks for units that got lost."""
    window_per_slot: int = Field(default=2, ge=1)
    """Units that are kept in Redis per worker slot, so that a worker never waits for the next."""
    turn_seconds: float = Field(default=600.0, gt=0)
    """A worker stays with the model that it has loaded for at most so long while others are waited for."""
    payload_megabytes: int = Field(default=256, ge=1)
    """Page images of this home that lie in Redis at the same time take up at most so much."""
    extract_seconds: float = Field(default=90.0, gt=0)
    """Hard time limit of reading one file, in seconds."""
    draw_seconds: float = Field(default=20.0, gt=0)
    """Hard time limit of drawing one page of a file, in seconds."""
    extract_megabytes: int = Field(default=2000, ge=0)
    """Memory that reading a file, or drawing a page of it, may take; more is refused. 0: no limit."""
    page_seconds: float = Field(default=60.0, gt=0)
    """Hard time limit of OCR for one page, in seconds; a window of pages gets the sum."""
    reply_seconds: float = Field(default=120.0, gt=0)
    """Hard time limit of one classify or analyse unit of the offline engine, or of one look, in seconds."""

    render_dpi: int = Field(default=200, ge=72, le=600)
    """Resolution at which PDF pages are rendered for OCR."""
    max_page_pixels: int = Field(default=25_000_000, ge=100_000)
    """A page image is scaled down to this many pixels before OCR."""
    ocr_window_pages: int = Field(default=4, ge=1)
    """Pages in one OCR unit."""
    ocr_threads: int = Field(default=0, ge=0)
    """Threads of the OCR engine; 0 lets the engine choose."""
    ocr_device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where OCR runs. `auto`: on a GPU if it can; `gpu`: `doctor` complains if it cannot."""
    text_layer_min_score: float = Field(default=0.5, ge=0, le=1)
    """A page whose text layer scores below this is read by OCR."""
    max_file_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    """Larger files are refused with a message."""
    max_pages: int = Field(default=5000, ge=1)
    """Documents with more pages are refused with a message."""
    max_characters: int = Field(default=20_000_000, ge=10_000)
    """Of text in one document; pages after that count as unread, with a message."""

    watch_settle_seconds: float = Field(default=3.0, gt=0)
    """A file in a watched folder is taken once its size and times have not changed for so long."""
    watch_notices: Literal["auto", "off"] = "auto"
    """`off`: look at watched folders now and again even where the system tells of changes."""
    watch_poll_seconds: float = Field(default=2.0, gt=0)
    """How often a folder is looked at where the system does not tell of changes."""
    watch_rescan_seconds: float = Field(default=60.0, gt=0)
    """How often it is looked at where the system does, for what was not told."""
    watch_max_files: int = Field(default=50_000, ge=1)
    """A watched folder with more files than this is left alone, with a message."""
    watch_taken_folder: str = Field(default="Taken", pattern=r"^[^./\x00][^/\x00]*$")
    """Subfolder for taken files, where the watched folder was switched on with --move-taken."""

    tidy_template: str = "{category}/{date}_{party}_{title}{ext}"
    """Folders and names that `tidy` proposes; see docs/tidy.md."""

    digest_at: ClockTime = ""
    """When the daily digest is made, as local time such as "07:30"; empty: never."""
    digest_dir: Path | None = None
    """Folder of the digests; a relative one lies in the data directory. By default `digests`."""
    alert_depth: int = Field(default=1000, ge=0)
    """A queue with more units that have not ended than this raises an alert; 0: never."""
    extra_worker_command: tuple[str, ...] = ()
    """Starts a further GPU worker, as a program and its arguments; see docs/scaling.md. Empty: never."""
    extra_worker_depth: int = Field(default=0, ge=0)
    """It is started when the gpu queue has more units than this; 0: as `alert_depth`."""
    extra_worker_idle_seconds: float = Field(default=600.0, gt=0)
    """And told to end when that queue has been empty for so long."""
    extra_workers_max: int = Field(default=1, ge=1)
    """So many at most at the same time."""
    due_days: int = Field(default=14, ge=0, le=366)
    """Amounts that fall due within so many days from today are in the digest, and those of as many past."""
    notify_desktop: bool = False
    """Show a notification on the desktop when documents have been read."""
    notify_on: tuple[Literal["done", "review", "failed", "quarantined"], ...] = (
        "done",
        "review",
        "failed",
        "quarantined",
    )
    """The states of documents that are told of, on the desktop and to the webhook."""
    webhook_url: WebhookUrl | None = None
    """An address (http, https) that is told of documents and digests. Kept secret: many hold a token."""
    webhook_secret: SecretStr | None = None
    """Signs what is sent there; see docs/notify.md."""
    webhook_content: Literal["ids", "fields"] = "ids"
    """`fields`: send names, categories, titles, parties, dates and amounts too, not only ids and states."""

    engine: Literal["auto", "ollama", "openai", "offline"] = "auto"
    """Who reads the text. `auto` is Ollama where there is one, else the offline engine."""
    ollama_host: str | None = None
    """Address of this machine's Ollama; by default OLLAMA_HOST, else 127.0.0.1:11434."""
    openai_url: str | None = None
    """Base address of an OpenAI-compatible server (vLLM, llama.cpp, LM Studio), for `engine = "openai"`."""
    openai_key: SecretStr | None = None
    """Its key, if it wants one."""
    small_model: str = "shoebox-small"
    """Classifies."""
    large_model: str = "shoebox-large"
    """Finds title, summary and fields."""
    embedding_model: str = ""
    """Makes the vectors of search by meaning. Empty: one that the server has, if any; `off`: none."""
    reindex_at: ClockTime = "03:30"
    """When the vectors are compared with all pages, each night, as local time; empty: never."""
    small_num_ctx: int = Field(default=8192, ge=512)
    """Context of the small model in tokens. Always the same, because a change loads the model again."""
    large_num_ctx: int = Field(default=16384, ge=512)
    """Context of the large model in tokens."""
    model_contexts: dict[str, Annotated[int, Field(ge=512)]] = Field(default_factory=dict)
    """Contexts of single models in tokens, by name: `{"my-model": 16384}`. Without one, models that only
    recipes name have that of the large model."""
    cpu_model_billions: float = Field(default=4.0, ge=0)
    """Models of up to so many billion parameters run on the cpu queue, larger ones on the gpu queue."""
    model_queues: dict[str, Literal["cpu", "gpu"]] = Field(default_factory=dict)
    """Exceptions by name: `{"my-model": "gpu"}`."""
    num_thread: int = Field(default_factory=lambda: max(1, (os.cpu_count() or 2) - 1), ge=1)
    """Threads of a model on the processor. One core is left free, or every token waits for the others."""
    keep_alive: str = "15m"
    """How long the server keeps a model loaded after a call."""
    silence_seconds: float = Field(default=120.0, gt=0)
    """A model that writes nothing for so long is given up. Length is not limited, silence is."""
    load_seconds: float = Field(default=600.0, gt=0)
    """How long a model may take to load and to read the prompt, before its first word."""
    llm_unit_seconds: float = Field(default=3600.0, gt=0)
    """Hard time limit of one unit with a language model."""
    vision_below: float = Field(default=0.85, ge=0, le=1)
    """Pages that OCR read with less confidence are shown to a model that takes images; 0: never."""
    vision_pages: int = Field(default=4, ge=1, le=16)
    """At most so many page images in one call, the worst pages first."""
    vision_models: tuple[str, ...] = ()
    """Models that take images, where the server does not say so (vLLM, LM Studio)."""
    allow_remote_models: bool = False
    """Allow models that Ollama runs in a cloud. Your documents would leave your machines."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What the logs hold at least. No level logs what documents say."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """Lines of JSON, or lines for people. `auto`: for people on a terminal, else JSON."""

    api_port: int = Field(default=8765, ge=1, le=65535)
    """Where `api` listens, unless --port names another port."""
    api_needs_token: bool = False
    """Ask clients on this machine for the token too. Those elsewhere always need it."""
    api_paths: bool = True
    """Let clients on this machine name files by their path instead of sending them."""
    api_hosts: tuple[str, ...] = ()
    """Names under which clients without a token may call the API, beside localhost and 127.0.0.1."""

    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Where the workers of this machine serve numbers for Prometheus: the first of them on this port, each
    further one on the next; see docs/monitoring.md. 0: they do not. The API always serves /metrics."""
    metrics_host: str = "127.0.0.1"
    """The address that they listen on. Another than 127.0.0.1 asks for the token of the API."""
    flower_port: int = Field(default=5555, ge=1, le=65535)
    """Where `flower` listens, unless --port names another port."""
    flower_needs_token: bool = False
    """Ask for the API's token on this machine too. From elsewhere it is always needed."""

    keys: dict[str, str] = Field(default_factory=dict)
    """Keys of the terminal UI, by the id of the action: `{"intray.retry": "ctrl+r"}`."""

    recipe: str = "builtin"
    """Name of the default recipe."""
    recipe_dir: Path | None = None
    """Folder of user recipes (*.toml); by default `recipes` beside the settings file."""
    learn: bool = True
    """Whether what was corrected in similar documents is shown to the engines as examples."""
    review_below: float = Field(default=0.5, ge=0, le=1)
    """A category with less confidence sends the document to review."""
    review_fields_below: float = Field(default=0.35, ge=0, le=1)
    """A party, date, amount or currency with less confidence sends the document to review."""

    @field_validator("redis_url")
    @classmethod
    def _with_password(cls, url: SecretStr | None, known: ValidationInfo) -> SecretStr | None:
        file = known.data.get("redis_password_file")
        if url is None or file is None:
            return url
        return SecretStr(with_password(url.get_secret_value(), file))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment outranks the file; there is no .env file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=config_file())

    @property
    def recipes_path(self) -> Path:
        """Where user recipes live."""
        return self.recipe_dir or config_file().parent / "recipes"

    @property
    def ledger_path(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "ledger.sqlite3"

    @property
    def vectors_path(self) -> Path:
        """The SQLite file of search by meaning, which can be thrown away and made again."""
        return self.data_dir / "vectors.sqlite3"

    @property
    def spool_dir(self) -> Path:
        """Copies of files that are still being read, named by content hash."""
        return self.data_dir / "spool"

    @property
    def uploads_dir(self) -> Path:
        """Files that came in by the HTTP API: these are the originals."""
        return self.data_dir / "uploads"

    @property
    def log_dir(self) -> Path:
        """Logs of the services."""
        return self.data_dir / "logs"

    @property
    def digests_path(self) -> Path:
        """Where the daily digests are written."""
        return self.data_dir / (self.digest_dir or Path("digests")).expanduser()

    @property
    def models_dir(self) -> Path:
        """OCR model folders built from the installed wheel."""
        return self.data_dir / "models"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings once per process.

    Raises:
        ConfigError: a value is out of range or unknown, or the file is not valid TOML; names the setting.
    """
    import tomllib

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        variable = name.partition(".")[0].upper()
        raise ConfigError(
            f"Setting {name!r}: {first['msg']}.",
            f"Correct {name} in {config_file()} or SHOEBOX_{variable} in the environment.",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{config_file()} is not valid TOML: {error}.", "Correct the line it names."
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "nested without end"
        raise ConfigError(f"{config_file()} is {reason}.", "Save it anew, as plain text in UTF-8.") from error
    except OSError as error:
        raise ConfigError(
            f"{config_file()} cannot be read: {error.strerror}.", "Make the file readable."
        ) from error
