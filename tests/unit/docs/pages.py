"""The documentation as text: pages, their code blocks, the commands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    """For test ids."""
    return str(page.relative_to(ROOT))


def blocks(text: str) -> list[str]:
    """Code blocks, without their fences; those marked as text hold what a program printed."""
    found = [block.strip().splitlines() for block in _FENCE.findall(text)]
    return ["\n".join(lines[1:-1]) for lines in found if lines[0] != "```text"]


def prose(text: str) -> str:
    """Everything but the code blocks."""
    return _FENCE.sub("", text)


def typed_commands(text: str, program: str) -> list[str]:
    """Whole command lines of `program` in code blocks, as one would type them; output and prompts are not."""
    lines = [line.strip() for block in blocks(text) for line in block.splitlines()]
    return [line for line in lines if line.startswith(f"{program} ")]


def named_commands(text: str, program: str) -> list[str]:
    """Commands that prose names in backticks; they may leave arguments out."""
    return [code for code in _INLINE.findall(prose(text)) if code.startswith(f"{program} ")]


def links(text: str) -> list[str]:
    """Targets of links to other files of the checkout, without their anchors."""
    found = [target.partition("#")[0] for target in _LINK.findall(prose(text))]
    return [target for target in found if target and "://" not in target]
