"""`perpdesk doctor`: what can be checked before anything is traded, each with its remedy."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from perpdesk.cli.options import Common

if TYPE_CHECKING:
    from rich.console import Console

    from perpdesk.cli.checks import Finding


def doctor(
    *,
    offline: Annotated[bool, Parameter(help="Ask no venue", negative="")] = False,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Check configuration, machine, stores, locks, signing libraries, keys, accounts, and, unless --offline, the venues.

    Exit code 1 when a check fails.
    """
    from perpdesk.cli.checks import check_config, check_machine, check_stores, check_venues_offline
    from perpdesk.cli.output import emit
    from perpdesk.cli.session import run_async, start_logs
    from perpdesk.telemetry.logs import redactor

    config, finding = check_config(common.config)
    redactor.add(config.secrets())
    start_logs(config, None)
    findings = [finding, *check_machine(config), *check_stores(config), *check_venues_offline(config)]
    if not offline:
        from perpdesk.cli.checks_online import check_venues_online

        findings += run_async(check_venues_online(config))
    failed = sum(1 for each in findings if not each.ok)
    document = {"ok": failed == 0, "failed": failed, "checks": [each.as_dict() for each in findings]}
    emit(document, common.json, lambda console: _print(console, findings))
    return 1 if failed else 0


def _print(console: "Console", findings: "list[Finding]") -> None:
    from rich.text import Text

    for each in findings:
        mark = Text("ok    ", style="green") if each.ok else Text("failed", style="bold red")
        console.print(Text.assemble(mark, f"  {each.name}: {each.detail}"), soft_wrap=True)
        if not each.ok and each.remedy:
            console.print(Text(f"        {each.remedy}", style="yellow"), soft_wrap=True)
    failed = sum(1 for each in findings if not each.ok)
    console.print("everything is fine" if not failed else f"{failed} of {len(findings)} checks failed")
