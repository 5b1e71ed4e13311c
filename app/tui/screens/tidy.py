"""The Tidy screen: plans, what each does to every file, applying and undoing them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from app.plans.carrying_out import left_to_do, may_be_undone
from app.plans.journal import Action, Journal, Plan, Step, StepState, journal_path
from app.plans.words import plan_line, step_line
from app.requests import ApplyPlan, MakePlan, UndoPlan
from app.tui.screens.confirm import Confirm
from app.tui.screens.looking import LookingScreen
from app.tui.screens.options import Options
from app.tui.screens.picker import FolderPicker
from app.tui.text import plain
from app.tui.widgets.section import Section
from tasks.settings import Settings

_MOST_STEPS = 500
_OPTIONS = {"move": "Move the files (else they are copied)"}


@dataclass(frozen=True, slots=True)
class TidyLook:
    """What the journal says."""

    plans: tuple[Plan, ...] = ()
    counts: Mapping[int, Mapping[StepState, int]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    """Of the plan under the cursor."""


class TidyScreen(LookingScreen[TidyLook]):
    """Plans and their steps."""

    NAME = "Tidy"
    HELP = """\
A plan proposes a folder and a name for each document that has been read. Making one changes nothing.

Files are copied, or moved if you say so. Nothing is ever replaced, a file that has changed since it was read
is left alone, and every plan can be undone, also after a crash."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "plan", "New plan", id="tidy.plan", tooltip="Propose a tidy tree; nothing is changed."),
        Binding("f5", "apply", "Apply", id="tidy.apply", tooltip="Do what the plan says. Asks first."),
        Binding("f8", "undo", "Undo", id="tidy.undo", tooltip="Bring its files back. Asks first."),
        Binding("escape", "app.pop_screen", "Back", id="tidy.back", tooltip="Back to where you were."),
    ]
    DEFAULT_CSS = """
    TidyScreen {
        VerticalScroll { padding: 1 2 0 2; }
        OptionList { height: auto; max-height: 40%; padding: 0; margin: 0 0 1 0; }
        OptionList, OptionList:focus { border: none; }
    }
    """

    _chosen: int | None = None
    """The plan whose steps are shown."""

    def body(self) -> Iterable[Widget]:
        """The plans to choose from, and the steps below."""
        with VerticalScroll():
            yield Section("Plans")
            yield OptionList(id="plans", markup=False)
            yield Section("What it does")

    def on_mount(self) -> None:
        """The arrow keys choose a plan."""
        self.query_one(OptionList).focus()
        self.begin_looking()

    def read(self, settings: Settings) -> TidyLook:
        """What the journal says; looking makes none."""
        if not journal_path(settings).exists():
            return TidyLook()
        with Journal.open(settings) as journal:
            plans = tuple(journal.plans())
            chosen = next((plan for plan in plans if plan.id == self._chosen), plans[0] if plans else None)
            return TidyLook(
                plans=plans,
                counts={plan.id: journal.counts(plan.id) for plan in plans},
                steps=tuple(journal.steps(chosen.id)) if chosen else (),
            )

    def show(self, look: TidyLook) -> None:
        """The plans, then the steps of one."""
        heading, steps = self.query(Section)
        heading.show([] if look.plans else [Content("None yet. F2 makes one; nothing is changed by that.")])
        steps.display = bool(look.steps)
        steps.show(_step_lines(look.steps))
        plans = self.query_one(OptionList)
        with self.prevent(OptionList.OptionHighlighted):
            plans.clear_options()
            plans.add_options(
                Option(plain(plan_line(plan, look.counts[plan.id])), id=str(plan.id)) for plan in look.plans
            )
            plans.display = bool(look.plans)
            if look.plans:
                ids = [plan.id for plan in look.plans]
                # As `read` chooses: the steps are those of the plan under the cursor.
                plans.highlighted = ids.index(self._chosen) if self._chosen in ids else 0

    @on(OptionList.OptionHighlighted)
    def _choose(self, event: OptionList.OptionHighlighted) -> None:
        self._chosen = int(event.option.id or 0)
        self.look_again()

    @property
    def _current(self) -> Plan | None:
        at = self.query_one(OptionList).highlighted
        return None if self.look is None or at is None else self.look.plans[at]

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_plan(self) -> None:
        """Choose a folder, and make a plan for it."""
        chosen = await self.app.push_screen_wait(FolderPicker("Tidy into"))
        if not chosen:
            return
        (folder,) = chosen
        ticked = await self.app.push_screen_wait(
            Options(f"Plan a tidy tree below {folder}? Nothing is changed yet.", _OPTIONS, yes="Plan")
        )
        if ticked is not None:
            self._chosen = None
            self.shell.ask(MakePlan(str(folder), move="move" in ticked))

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_apply(self) -> None:
        """Do what the plan says, after a question."""
        plan = self._current
        number = left_to_do(self.look.counts[plan.id]) if self.look and plan else 0
        if plan is None or not number:
            self.shell.say("Nothing to apply here.", severity="warning")
            return
        word = "Copy" if plan.action is Action.COPY else "Move"
        if await self.app.push_screen_wait(
            Confirm(
                f"{word} {number:,} files below {plan.target}?",
                "Nothing is replaced. It can be undone.",
                yes=word,
                no="Leave",
            )
        ):
            self.shell.ask(ApplyPlan(plan.id))

    @work(group="question", exclusive=True, exit_on_error=False)
    async def action_undo(self) -> None:
        """Bring the plan's files back, after a question."""
        plan = self._current
        number = may_be_undone(self.look.counts[plan.id]) if self.look and plan else 0
        if plan is None or not number:
            self.shell.say("Nothing to undo here.", severity="warning")
            return
        what = "Remove the copies of" if plan.action is Action.COPY else "Move back"
        if await self.app.push_screen_wait(
            Confirm(
                f"{what} {number:,} files?",
                "What has changed since is left where it is.",
                yes="Undo",
                no="Leave",
            )
        ):
            self.shell.ask(UndoPlan(plan.id))


def _step_lines(steps: tuple[Step, ...]) -> list[Content]:
    lines = [plain(step_line(step)) for step in steps[:_MOST_STEPS]]
    if len(steps) > _MOST_STEPS:
        lines.append(plain(f"and {len(steps) - _MOST_STEPS:,} more; ./run.sh plans show lists all"))
    return lines
