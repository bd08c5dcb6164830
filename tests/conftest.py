"""Real engines for adapters and relays: one of each for a whole run, started when asked for."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.services import nats, postgres
from tests.services.ports import free_port


@pytest.fixture(scope="session")
def postgres_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    """A real Postgres, started once."""
    with postgres.running(tmp_path_factory.mktemp("postgres"), free_port()) as engine:
        yield engine


@pytest.fixture(scope="session")
def fresh_database(postgres_engine: postgres.Postgres) -> Callable[[], str]:
    """Gives the URL of an empty database at each call."""
    numbers = count(1)

    def made() -> str:
        name = f"contract{next(numbers)}"
        postgres_engine.make(name)
        return postgres_engine.url(name)

    return made


@pytest.fixture(scope="session")
def nats_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nats.Nats]:
    """A real NATS with JetStream, started once."""
    with nats.running(tmp_path_factory.mktemp("nats"), free_port()) as engine:
        yield engine
