"""Completion in a shell: the script that it loads, and what fits for recipes, documents and logs.

Click answers the shell, started anew at each press of the key; so nothing heavy is imported here. The
scripts are ours. Click's would run whatever is called run.sh in the current folder, and need a newer bash
than macOS has.
"""

import shlex
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from app.called import INSTALLED, own_name
from app.plain_text import shortened, visible
from tasks.settings import get_settings

VARIABLE = "_SHOEBOX_COMPLETE"
"""In the environment, it says that a shell asks, and which."""
_MOST = 50
_NAME_CELLS = 60

# In each: FUNCTION, NAME of the command, CALL that asks us. GUARD ends it for another program of that name.
_BASH = """FUNCTION() {
    local kind value IFS=$'\\n'
    COMPREPLY=()
    GUARD
    while IFS=, read -r kind value; do
        [ "$kind" != plain ] || COMPREPLY+=("$value")
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD VARIABLE=bash_complete CALL 2>/dev/null)
}
complete -o bashdefault -o default -F FUNCTION NAME
"""
_ZSH = """#compdef NAME
FUNCTION() {
    local -a answer found told
    GUARD
    local asked="${words[*]}" at=$((CURRENT-1)) kind key help
    answer=("${(@f)$(env COMP_WORDS="$asked" COMP_CWORD=$at VARIABLE=zsh_complete CALL 2>/dev/null)}")
    for kind key help in $answer; do
        case $kind in
        plain) if [[ $help == _ ]]; then found+=("$key"); else told+=("$key:$help"); fi ;;
        dir) _path_files -/ ;;
        file) _path_files -f ;;
        esac
    done
    (( $#told )) && _describe -V unsorted told -U
    (( $#found )) && compadd -U -V unsorted -a found
}
compdef FUNCTION NAME
"""
_FISH = """function FUNCTION
    GUARD
    set -l asked (commandline -cp)
    set -l word (commandline -t)
    for line in (env COMP_WORDS="$asked" COMP_CWORD="$word" VARIABLE=fish_complete CALL 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end
complete --no-files --command NAME --arguments '(FUNCTION)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_GUARDS = {
    "bash": '[ "${1//\\\\/}" -ef FILE ] || return 0',  # as it was typed, with backslashes
    "zsh": "[[ $words[1] -ef FILE ]] || return 1",
    "fish": "test (realpath -- (commandline -opc)[1] 2>/dev/null) = FILE; or return",
}
SHELLS = tuple(_SCRIPTS)
"""Those that a script can be had for."""


def script(shell: str) -> str:
    """What a shell is to load.

    It asks the Python that runs now, so that pressing a key never installs anything. In a checkout it is for
    this very run.sh: every project may have one.
    """
    checkout = Path(__file__).resolve().parent.parent
    call = f"{shlex.quote(sys.executable)} -m app"
    name, guard = INSTALLED, "true"
    if own_name() != INSTALLED:
        file = checkout / "run.sh"
        name, guard = file.name, _GUARDS[shell].replace("FILE", shlex.quote(str(file)))
        call = f"PYTHONSAFEPATH=1 PYTHONPATH={shlex.quote(str(checkout))} {call}"
    words = {"FUNCTION": "_shoebox_completion", "NAME": name, "VARIABLE": VARIABLE, "CALL": call}
    text = _SCRIPTS[shell]
    for word, meant in words.items():
        text = text.replace(word, meant)
    return text.replace("GUARD", guard)


def recipes(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """The recipes there are."""
    from tasks.recipes import list_recipes

    names = list_recipes(get_settings().recipes_path)
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def programs(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """The programs that have a log."""
    from app.logs.files import programs as logged

    return [CompletionItem(name) for name in logged(get_settings()) if name.startswith(begun)]


def documents(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """Ids of documents whose id or name begins so, the latest first, each with its name.

    Ids, because a name may hold what a shell acts on. The ledger is read as it is, never made or migrated.
    """
    path = get_settings().ledger_path
    pattern = "".join(f"\\{one}" if one in "%_\\" else one for one in begun) + "%"
    query = (
        "SELECT id, name FROM documents WHERE id LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\'"
        " ORDER BY seq DESC LIMIT ?"
    )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as ledger:
            rows = ledger.execute(query, (pattern, pattern, _MOST)).fetchall()
    except (sqlite3.Error, ValueError):  # there is none yet, or it is in use: then there is nothing to offer
        return []
    return [CompletionItem(str(row[0]), help=shortened(visible(str(row[1])), _NAME_CELLS)) for row in rows]
