import type { Command } from 'commander';
import type { Output } from './output.ts';

/** The words that may follow one command line prefix. */
interface Place {
  /** Commands typed so far, without `mooring`: `''`, `site`, `site add`. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly about: string }[];
  /** A site's name may stand here. */
  readonly takesSite: boolean;
}

/**
 * The completion script of a shell, made from the commands themselves. Names of sites are asked of the daemon when
 * somebody presses Tab; without one there are none.
 */
export function completion(out: Output, program: Command, shell: string): void {
  const places = placesOf(program, '');
  const scripts = { bash, zsh, fish };
  out.line(scripts[shell as keyof typeof scripts](places));
}

function placesOf(command: Command, path: string): Place[] {
  const inherited = path === '' ? [] : globals(command);
  const options = [...command.options, ...inherited].map(({ long, short, description }) => ({
    word: long ?? short ?? '',
    about: description,
  }));
  const visible = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  const named = visible.map((each) => ({ word: each.name(), about: each.description() }));
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const words = [
    ...named,
    ...choices.map((word) => ({ word, about: '' })),
    ...options,
    { word: '--help', about: 'show help' },
  ];
  const takesSite = command.registeredArguments[0]?.name() === 'site';
  const inner = visible.flatMap((each) => placesOf(each, `${path} ${each.name()}`.trim()));
  return [{ path, words, takesSite }, ...inner];
}

function globals(command: Command): Command['options'] {
  let root = command;
  while (root.parent) root = root.parent;
  return root.options;
}

const sitesCommand = 'mooring site-names 2>/dev/null';

function bash(places: readonly Place[]): string {
  const cases = places.map(({ path, words, takesSite }) => {
    const list = words.map(({ word }) => word).join(' ');
    return `    ${JSON.stringify(path)}) words=${JSON.stringify(list)}; sites=${takesSite ? 'yes' : ''} ;;`;
  });
  return `# bash completion of mooring: source <(mooring completion bash)
_mooring() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words="" sites="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${pathsOf(places)} " in
      *" \${path:+$path/}$word "*) path="\${path:+$path/}$word" ;;
    esac
  done
  case "\${path//\\// }" in
${cases.join('\n')}
  esac
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "\${words// /$'\\n'}" -- "$current"))
  if [ -n "$sites" ]; then
    local name
    while read -r name; do
      case "$name" in "$current"*) COMPREPLY+=("$(printf '%q' "$name")") ;; esac
    done < <(${sitesCommand})
  fi
}
complete -F _mooring mooring`;
}

/** Each place as one word: `site/add`. */
function pathsOf(places: readonly Place[]): string {
  return places
    .map(({ path }) => path.replaceAll(' ', '/'))
    .filter(Boolean)
    .join(' ');
}

function zsh(places: readonly Place[]): string {
  const cases = places.map(({ path, words, takesSite }) => {
    const list = words.map(({ word, about }) => `'${`${word}:${about}`.replaceAll("'", '’')}'`).join(' ');
    return `    ${JSON.stringify(path)}) words_here=(${list}); sites=${takesSite ? 'yes' : ''} ;;`;
  });
  return `#compdef mooring
# zsh completion of mooring: source <(mooring completion zsh)
_mooring() {
  local place="" sites="" word
  local -a words_here names
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case " ${pathsOf(places)} " in
      *" \${place:+$place/}$word "*) place="\${place:+$place/}$word" ;;
    esac
  done
  case "\${place//\\// }" in
${cases.join('\n')}
  esac
  _describe 'command' words_here
  if [[ -n "$sites" ]]; then
    names=("\${(@f)$(${sitesCommand})}")
    compadd -a names
  fi
}
compdef _mooring mooring`;
}

function fish(places: readonly Place[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", '’')}'`;
  const lines = places.flatMap(({ path, words, takesSite }) => {
    const condition = quoted(`test (__mooring_path) = "${path}"`);
    return [
      ...words.map(({ word, about }) => {
        const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
        return `complete -c mooring -f -n ${condition} ${what} -d ${quoted(about)}`;
      }),
      ...(takesSite ? [`complete -c mooring -f -n ${condition} -a '(__mooring_sites)'`] : []),
    ];
  });
  return `# fish completion of mooring: mooring completion fish | source
function __mooring_path
  set -l path
  for word in (commandline -opc)[2..-1]
    if contains -- (string join / $path $word) ${pathsOf(places)}
      set path $path $word
    end
  end
  echo (string join ' ' $path)
end
function __mooring_sites
  ${sitesCommand}
end
${lines.join('\n')}`;
}
