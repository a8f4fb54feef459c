"""
Settings from the environment, or from a `.env` file in the working directory: DATABASE_URL or PG*, and STORE_*.

Nothing here connects. Secrets are SecretStr; an error names the variable and the rule, never the value.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from store.errors import SettingsError
from store.models import Currency

Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]

NO_SERVER = (
    "DATABASE_URL is not set, and neither is PGHOST, PGSERVICE or PGDATABASE. Set it in the environment or in "
    ".env: DATABASE_URL=postgresql://user@host/name, or DATABASE_URL=embedded:.data/pg to try things out."
)
"""What somebody is told who names none."""


class Settings(BaseSettings):
    """
    How to reach PostgreSQL and how patient to be. Each field is read from the variable of its alias.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",  # a .env file belongs to the application; what is not ours is not our business
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    migrate_url: SecretStr | None = Field(default=None, validation_alias="STORE_MIGRATE_URL")

    pg_host: str | None = Field(default=None, validation_alias="PGHOST")
    pg_hostaddr: str | None = Field(default=None, validation_alias="PGHOSTADDR")
    pg_port: str | None = Field(default=None, validation_alias="PGPORT")
    pg_user: str | None = Field(default=None, validation_alias="PGUSER")
    pg_password: SecretStr | None = Field(default=None, validation_alias="PGPASSWORD")
    pg_database: str | None = Field(default=None, validation_alias="PGDATABASE")
    pg_service: str | None = Field(default=None, validation_alias="PGSERVICE")
    pg_sslmode: str | None = Field(default=None, validation_alias="PGSSLMODE")

    strict_auth: bool = Field(default=False, validation_alias="STORE_DB_STRICT_AUTH")
    application_name: str = Field(default="store", max_length=63, validation_alias="STORE_APPLICATION_NAME")
    connect_timeout: int = Field(default=3, ge=2, le=60, validation_alias="STORE_CONNECT_TIMEOUT")

    pooler: Literal["none", "transaction"] = Field(default="none", validation_alias="STORE_POOLER")
    pool_size: int = Field(default=8, ge=1, le=1000, validation_alias="STORE_POOL_SIZE")
    pool_timeout: float = Field(default=3.0, gt=0, le=300, validation_alias="STORE_POOL_TIMEOUT")
    pool_max_waiting: int | None = Field(default=None, ge=1, validation_alias="STORE_POOL_MAX_WAITING")
    pool_max_lifetime: float = Field(default=1800.0, ge=10, validation_alias="STORE_POOL_MAX_LIFETIME")
    pool_max_idle: float = Field(default=300.0, ge=10, validation_alias="STORE_POOL_MAX_IDLE")

    statement_timeout_ms: Milliseconds = Field(default=5_000, validation_alias="STORE_STATEMENT_TIMEOUT_MS")
    lock_timeout_ms: Milliseconds = Field(default=2_000, validation_alias="STORE_LOCK_TIMEOUT_MS")
    idle_timeout_ms: Milliseconds = Field(default=10_000, validation_alias="STORE_IDLE_TIMEOUT_MS")
    transaction_timeout_ms: Milliseconds = Field(default=15_000, validation_alias="STORE_TRANSACTION_TIMEOUT_MS")
    slow_query_ms: Milliseconds = Field(default=250, validation_alias="STORE_SLOW_QUERY_MS")

    currency: Currency = Field(default="EUR", validation_alias="STORE_CURRENCY")

    @model_validator(mode="after")
    def _names_a_server(self) -> Self:
        if self.migrate_url is None and not self.names_server:
            msg = "DATABASE_URL is not set"
            raise ValueError(msg)
        return self

    @classmethod
    def load(cls, *, database_url: str | None = None) -> Settings:
        """
        Read the settings; `database_url` stands in for the variable.

        Raises SettingsError, which names the variable that is missing or malformed and what it takes.
        """
        given = {} if database_url is None else {"DATABASE_URL": database_url}
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic-settings takes aliases as keywords
        except ValidationError as error:
            message = _explain(error)
        except (OSError, UnicodeError):
            message = ".env cannot be read: it must be a file of UTF-8 text"
        raise SettingsError(message)

    @property
    def names_server(self) -> bool:
        """
        Whether there is a server for the application; with STORE_MIGRATE_URL alone there is one for migrations only.
        """
        return bool(self.database_url or self.pg_host or self.pg_hostaddr or self.pg_service or self.pg_database)

    @property
    def max_waiting(self) -> int:
        """
        How many callers may queue for a connection before the next one is refused.
        """
        return self.pool_max_waiting or 4 * self.pool_size

    @property
    def is_embedded(self) -> bool:
        """
        Whether migrations go to an embedded server, which nobody's business depends on.
        """
        secret = self.migrate_url or self.database_url
        return secret is not None and secret.get_secret_value().strip().startswith("embedded:")

    @property
    def is_url_from_environment(self) -> bool:
        """
        Whether DATABASE_URL comes from the environment, and so not from `.env`.
        """
        return bool(os.environ.get("DATABASE_URL"))


def _explain(error: ValidationError) -> str:
    lines: list[str] = []
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        if not fault["loc"]:
            return NO_SERVER
        lines.append(f"{fault['loc'][0]}: {fault['msg']}")
    return "; ".join(lines)
