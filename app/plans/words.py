"""Plans in words, for the command line and the UI."""

from collections.abc import Mapping

from app.plain_text import visible
from app.plans.journal import Plan, Step, StepState


def plan_line(plan: Plan, counts: Mapping[StepState, int]) -> str:
    """A plan, and how far it is."""
    states = ", ".join(f"{counts[state]:,} {state.value}" for state in StepState if counts.get(state))
    return f"{plan.name}  {plan.action.value} to {visible(str(plan.target))}: {states or 'no files'}"


def step_line(step: Step) -> str:
    """A step: from where to where, and what became of it."""
    about = f"  ({visible(step.message)})" if step.message else ""
    source = visible(str(step.source))
    if step.state is StepState.LEFT_OUT:
        return f"{step.state.value:<9} {source}{about}"
    return f"{step.state.value:<9} {source} -> {visible(str(step.target))}{about}"
