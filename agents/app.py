"""The application for Faust's own commands, such as `faust -A agents.app tables`.

Settings are those of the environment. Workers are started by `loanrouter worker`: before the application runs, it waits
for Kafka and its topics, learns the configuration, and looks after the changelogs.
"""

import os

from agents.worker import worker_app
from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from streams.guide import Guide
from streams.reservations import RedisBook

settings = Settings.from_env(os.environ)
guide = Guide(settings, lambda: first_revision(load_file(settings.config)))
book = RedisBook.connect(settings.redis_client_args(), settings.topic_prefix, settings.partitions)
app = worker_app(settings, guide, book, None)
