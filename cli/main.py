"""The command `loanrouter`. Exit codes: 0 done, 1 failed, 2 wrong use or settings that cannot be used."""

import os
from importlib import import_module
from typing import Any, NamedTuple

import click

from cli.logs import log_refusal
from config.settings import Settings, SettingsError


class _Subcommand(NamedTuple):
    where: str
    help: str


SUBCOMMANDS = {
    "demo": _Subcommand("cli.demo:demo", "Everything embedded, with simulated borrowers, live in the terminal."),
    "worker": _Subcommand("cli.worker:worker", "Run one stream worker."),
    "topics": _Subcommand("cli.topics:topics", "Create the Kafka topics."),
    "synthetic": _Subcommand("cli.synthetic:synthetic", "A synthetic borrower, to measure the whole path."),
    "console": _Subcommand("cli.console:console", "The web console for risk officers."),
    "config": _Subcommand("cli.config:config", "Check, show, compare and change rotation configurations."),
    "explain": _Subcommand("cli.explain:explain", "Explain one drawdown's decisions, funder by funder."),
    "replay": _Subcommand("cli.replay:replay", "Decide a recorded log again, byte for byte."),
    "market": _Subcommand("cli.market:market", "Compare policies on a simulated market of strategic funders."),
    "what-if": _Subcommand("cli.what_if:what_if", "Tell what a draft would have done to recorded traffic."),
    "shadow": _Subcommand("cli.shadow:shadow", "Decide live traffic under a draft too, without effect."),
    "export": _Subcommand("cli.export:export", "Write recorded traffic as Parquet."),
    "dead-letters": _Subcommand("cli.deadletters:dead_letters", "List and re-drive input that could not be used."),
}


class _LazyGroup(click.Group):
    """A group that imports a subcommand when it is run: its help does not wait for the stream library."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        module, attribute = SUBCOMMANDS[cmd_name].where.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.help) for name, subcommand in SUBCOMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(str(error)) from None
        except click.ClickException as error:
            if not log_refusal(error.format_message()):
                raise
            ctx.exit(error.exit_code)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="loanrouter")
def main() -> None:
    """Routes loan drawdowns so that no single funder captures the borrowers.

    Settings come from LOANROUTER_* environment variables.
    """


def settings_from_env() -> Settings:
    """The process's settings; a `SettingsError` that a command lets through ends it with exit code 2."""
    return Settings.from_env(os.environ)
