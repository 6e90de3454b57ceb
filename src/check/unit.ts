import type { SetUpCheck } from '../model/system.ts';

/** What the sandbox of a systemd unit leaves a daemon of its folders, as far as its file says. */
export function checkUnit(text: string | undefined, { folders, stateDir }: UnitFolders): SetUpCheck[] {
  if (text === undefined) return [];
  const area = 'Unit';
  const unit = readUnit(text);
  const hidden = folders.filter((folder) => unit.hides && /^\/(?:home|root|run\/user)\//.test(folder));
  const writable = [...unit.writable, stateDir];
  const readOnly = folders.filter((folder) => unit.strict && !writable.some((place) => isIn(folder, place)));
  const found: SetUpCheck[] = [];
  if (hidden.length > 0) {
    const finding = `ProtectHome hides ${hidden.join(', ')} from Mooring.`;
    const fix = `Set ProtectHome=no, and list each folder in ReadWritePaths. Then run: ${reload}`;
    found.push({ area, result: 'fail', finding, fix });
  }
  if (readOnly.length > 0) {
    const finding = `ProtectSystem=strict makes ${readOnly.join(', ')} read-only for Mooring.`;
    found.push({ area, result: 'fail', finding, fix: `Add it to ReadWritePaths in the unit. Then run: ${reload}` });
  }
  if (unit.restrictsGroupBit) {
    const finding = 'RestrictSUIDSGID forbids the set-group-ID bit, which new folders need to pass their group on.';
    found.push({ area, result: 'warn', finding, fix: `Remove RestrictSUIDSGID from the unit. Then run: ${reload}` });
  }
  if (found.length === 0)
    found.push({ area, result: 'ok', finding: 'Its sandbox leaves Mooring the folders it needs.' });
  return found;
}

interface UnitFolders {
  /** Where sites lie or may lie. */
  readonly folders: readonly string[];
  readonly stateDir: string;
}

const reload = 'systemctl daemon-reload && systemctl restart mooring';

/** As in systemd.syntax(7): of a setting that is given twice the last one counts, lists grow, and empty ones begin anew. */
function readUnit(text: string) {
  const last = new Map<string, string>();
  let writable: string[] = [];
  // A backslash at the end of a line goes on with the next.
  for (const line of text.replace(/\\\n/g, ' ').split('\n')) {
    const [, name = '', value = ''] = /^\s*([A-Za-z]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === '') continue;
    last.set(name, value);
    if (name !== 'ReadWritePaths') continue;
    const paths = value.split(/\s+/).map((path) => path.replace(/^["']|["']$/g, '').replace(/^[-+]+/, ''));
    writable = value === '' ? [] : [...writable, ...paths];
  }
  const isOn = (value: string | undefined): boolean => /^(?:yes|true|on|1)$/i.test(value ?? '');
  const home = last.get('ProtectHome');
  return {
    hides: isOn(home) || home === 'tmpfs',
    strict: last.get('ProtectSystem') === 'strict',
    writable: writable.map((path) => path.replace(/(?<=.)\/+$/, '')),
    restrictsGroupBit: isOn(last.get('RestrictSUIDSGID')),
  };
}

const isIn = (folder: string, place: string): boolean =>
  folder === place || folder.startsWith(place === '/' ? '/' : `${place}/`);
