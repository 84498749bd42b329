"""The command `loanrouter`. Exit codes: 0 done, 1 failed, 2 wrong use or settings that cannot be used."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from cli.logs import log_refusal
from config.settings import Settings, SettingsError


class Subcommand(NamedTuple):
    """A command that is imported when it is run: `module:name`, and what a list of commands says of it."""

    where: str
    help: str


SUBCOMMANDS = {
    "demo": Subcommand("cli.demo:demo", "Everything embedded, with simulated borrowers, live in the terminal."),
    "worker": Subcommand("cli.worker:worker", "Run one stream worker."),
    "topics": Subcommand("cli.topics:topics", "Create the Kafka topics."),
    "synthetic": Subcommand("cli.synthetic:synthetic", "A synthetic borrower, to measure the whole path."),
    "console": Subcommand("cli.console:console", "The web console for risk officers."),
    "config": Subcommand("cli.config:config", "Check, show, compare and change rotation configurations."),
    "funders": Subcommand("cli.funders:funders", "Show and set where funders stand on the response ladder."),
    "explain": Subcommand("cli.explain:explain", "Explain one drawdown's decisions, funder by funder."),
    "replay": Subcommand("cli.replay:replay", "Decide a recorded log again, byte for byte."),
    "market": Subcommand("cli.market:market", "Compare policies on a simulated market of strategic funders."),
    "what-if": Subcommand("cli.what_if:what_if", "Tell what a draft would have done to recorded traffic."),
    "shadow": Subcommand("cli.shadow:shadow", "Decide live traffic under a draft too, without effect."),
    "export": Subcommand("cli.export:export", "Write recorded traffic as Parquet."),
    "dead-letters": Subcommand("cli.deadletters:dead_letters", "List and re-drive input that could not be used."),
}


class LazyGroup(click.Group):
    """A group that imports some subcommands when they are run: its help does not wait for the stream library."""

    def __init__(self, *arguments: Any, later: Mapping[str, Subcommand], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return [*super().list_commands(ctx), *self._later]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; imports it if need be."""
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._later[cmd_name].where.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them, without an import."""
        now = [(name, command.get_short_help_str(formatter.width)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl([*now, *((name, subcommand.help) for name, subcommand in self._later.items())])


class _Main(LazyGroup):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            refusal: click.ClickException = click.UsageError(str(error))
        except click.ClickException as error:
            refusal = error
        if log_refusal(refusal.format_message()):
            ctx.exit(refusal.exit_code)
        raise refusal


@click.group(cls=_Main, later=SUBCOMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="loanrouter")
def main() -> None:
    """Routes loan drawdowns so that no single funder captures the borrowers.

    Settings come from LOANROUTER_* environment variables.
    """


def settings_from_env() -> Settings:
    """The process's settings; a `SettingsError` that a command lets through ends it with exit code 2."""
    return Settings.from_env(os.environ)
