/** A bug planted in a copy of the source, and the quickest test that sees it. */
export interface Mutant {
  readonly name: string;
  readonly patches: readonly Patch[];
  /** The tests that should see it, in turn: the quickest first. */
  readonly tests: readonly Run[];
}

export interface Run {
  readonly file: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Patch {
  readonly file: string;
  /** Must be found exactly once. */
  readonly from: string;
  readonly to: string;
}

const test = (file: string): Run => ({ file: `test/${file}.test.ts` });
const crash = (only: string): Run => ({
  ...test('sync/crash'),
  env: { MOORING_ONLY: only, MOORING_BUDGET_S: '40', MOORING_FAILURES: '1' },
});

const errno = (call: string): Run => ({
  ...test('faults/errno'),
  env: { MOORING_ERRNO: 'all', MOORING_ONLY: `: ${call} (EACCES|EIO) always` },
});
const guards = test('soak/guards');
const model: Run = { ...test('soak/model'), env: { MOORING_BUDGET_S: '20' } };
const power = test('faults/power');
const replace = test('files/replace');
const root = test('faults/root');
const run = test('sync/run');
const wentBack = test('sync/went-back');

export const mutants: readonly Mutant[] = [
  // Ten bugs that such programs have.
  {
    name: 'a staged file goes live before it is synced',
    patches: [{ file: 'src/files/stage.ts', from: `fs\n      .fsync(fd)\n`, to: `Promise.resolve()\n` }],
    tests: [guards],
  },
  {
    name: 'a folder that is not there is an empty one',
    patches: [
      {
        file: 'src/files/root.ts',
        from: `  const fd = openRoot(fs, root);\n  try {\n    const stat`,
        to: `  let fd: number;\n  try {\n    fd = openRoot(fs, root);\n  } catch {\n    return { dev: '0', ino: '0' };\n  }\n  try {\n    const stat`,
      },
      {
        file: 'src/files/scan.ts',
        from: `  const handles = new DirectoryHandles(fs, root);\n  try {\n    const scan = new Scan(fs, handles, known, rules);\n    scan.folder('');`,
        to: `  let handles: DirectoryHandles;\n  try {\n    handles = new DirectoryHandles(fs, root);\n  } catch {\n    return { changed: [], gone: [...known.entries()].map(([path]) => path), unapplied: [], left: [], ignored: 0, files: 0, rootEntries: 1 };\n  }\n  try {\n    const scan = new Scan(fs, handles, known, rules);\n    scan.folder('');`,
      },
    ],
    tests: [root],
  },
  {
    name: 'a push by force',
    patches: [
      {
        file: 'src/git/remote.ts',
        from: "`--force-with-lease=${ref}:${expected ?? ''}`",
        to: "expected === '' ? '' : '--force'",
      },
    ],
    tests: [test('contracts/remote')],
  },
  {
    name: 'the watcher is trusted',
    patches: [
      {
        file: 'src/sync/run.ts',
        from: `const everything = triggers.has('rescan') || triggers.has('start');`,
        to: `const everything = triggers.size > 99;`,
      },
      {
        file: 'src/files/directory.ts',
        from: `scope === 'all' || this.#all ||`,
        to: `this.#all && scope === 'all' ||`,
      },
    ],
    tests: [model],
  },
  {
    name: 'files move before the journal is written',
    patches: [
      {
        file: 'src/files/staging.ts',
        from: `if (moves.length > 0) this.#write(moves.map((move) => ({ kind: 'move', move })));`,
        to: `if (moves.length > 0) moves.forEach((move) => this.#take({ kind: 'move', move }));`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'half a file is recorded',
    patches: [
      {
        file: 'src/files/read.ts',
        from: `const steady = isWhole && same(first, last) && named !== undefined && same(first, named);`,
        to: `const steady = named !== undefined || same(first, last);`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'a token is renewed twice at once',
    patches: [
      {
        file: 'src/gitlab/tokens.ts',
        from: `const turn = queue.tail.then(act, act);`,
        to: `const turn = act();`,
      },
    ],
    tests: [test('gitlab/tokens')],
  },
  {
    name: 'a store file that says null is a fresh start',
    patches: [
      {
        file: 'src/store/store-file.ts',
        from: `if (reading.kind === 'bad') return this.#restore(text, reading.why);`,
        to: `if (text?.trim() === 'null') return (this.held = this.#options.initial);\n    if (reading.kind === 'bad') return this.#restore(text, reading.why);`,
      },
    ],
    tests: [test('store/database')],
  },
  {
    name: 'a redirect is followed',
    patches: [{ file: 'src/net/transport.ts', from: `followRedirect: false,`, to: `followRedirect: true,` }],
    tests: [test('net/http')],
  },
  {
    name: 'a redirect is followed by git',
    patches: [
      {
        file: 'src/git/environment.ts',
        from: `['http.followRedirects', 'false']`,
        to: `['http.followRedirects', 'true']`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'the address of a page is logged, with what GitLab put into it',
    patches: [
      {
        file: 'src/web/app.ts',
        from: `    ctx.path = address.inside(ctx.path);`,
        to: `    process.stdout.write(\`\${ctx.url}\\n\`);\n    ctx.path = address.inside(ctx.path);`,
      },
    ],
    tests: [guards],
  },

  // The guards of the engine.
  {
    name: 'the manifest is trusted without a stat',
    patches: [
      {
        file: 'src/files/apply.ts',
        from: `if (line?.seen && sameSeen(line.seen, there)) return { oid: line.oid, seen: line.seen };`,
        to: `if (line?.seen) return { oid: line.oid, seen: seenOf(there, this.#tools.now()) };`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'the captured file is not looked at',
    patches: [
      {
        file: 'src/files/replace.ts',
        from: `return (stat.kind === 'file' || stat.kind === 'link') && sameInode(expected, stat);`,
        to: `return stat.kind === 'file' || sameInode(expected, stat);`,
      },
    ],
    tests: [replace],
  },
  {
    name: 'replaced files are not looked at once more',
    patches: [
      {
        file: 'src/files/late.ts',
        from: `if (now.oid === held.before?.oid) return 'nothing';`,
        to: `if (now) return 'nothing';`,
      },
    ],
    tests: [replace],
  },
  {
    name: 'busy paths count as applied',
    patches: [
      {
        file: 'src/sync/partial.ts',
        from: `.filter(({ path }) => skipped.has(path))`,
        to: `.filter(({ path }) => skipped.has(path) && path === '')`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'the old tip of a rewritten branch is not kept',
    patches: [
      {
        file: 'src/sync/carry-out.ts',
        from: `  await repository.keep({ cause: 'history-rewritten', at: now(), commit: tip, files: 0, bytes: 0 });`,
        to: `  if (tip === undefined) await repository.keep({ cause: 'history-rewritten', at: now(), commit: tip, files: 0, bytes: 0 });`,
      },
    ],
    tests: [run],
  },
  {
    name: 'the folder’s own line is not kept before history is left behind',
    patches: [
      {
        file: 'src/sync/carry-out.ts',
        from: `  if (step.ours !== step.base && !step.parents.includes(step.ours)) {`,
        to: `  if (step.ours === step.base && !step.parents.includes(step.ours)) {`,
      },
    ],
    tests: [crash('rewritten history')],
  },
  {
    name: 'no hold before a mass removal',
    patches: [
      {
        file: 'src/sync/guard.ts',
        from: `if (removed === 0 || total === 0) return false;`,
        to: `if (removed >= 0 || total === 0) return false;`,
      },
    ],
    tests: [run],
  },
  {
    name: 'a file written twice in one tick of the clock is the same file',
    patches: [
      {
        file: 'src/files/line.ts',
        from: `const recent = BigInt(Math.round(nowMs)) * 1_000_000n - stat.ctimeNs < tickNs;`,
        to: `const recent = BigInt(Math.round(nowMs)) < 0n && stat.ctimeNs < tickNs;`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'a commit that GitLab’s call names counts although the branch is elsewhere',
    patches: [
      {
        file: 'src/git/wire.ts',
        from: `if (tip !== this.tip) return Promise.resolve(false);`,
        to: `if (tip === ('' as Oid)) return Promise.resolve(false);`,
      },
      { file: 'src/git/wire.ts', from: `if (tip !== early?.tip) await early?.giveUp();`, to: '' },
    ],
    tests: [test('git/wire-answers')],
  },
  {
    name: 'a text with both kinds of line endings is committed with LF',
    patches: [
      {
        file: 'src/files/line-endings.ts',
        from: `if (at === 0 || content[at - 1] !== cr) return 'mixed';`,
        to: `if (at === 0 || content[at - 1] !== cr) continue;`,
      },
    ],
    tests: [test('sync/line-endings')],
  },
  {
    name: 'turning the x bit on takes it from files that never had it',
    patches: [
      {
        file: 'src/files/recording.ts',
        from: `if (line && (line.isExecutable === undefined || line.isExecutable === isExecutable)) return tracked;`,
        to: `if (line && line.isExecutable === isExecutable) return tracked;`,
      },
    ],
    tests: [test('sync/executables')],
  },
  {
    name: 'a link from the branch may lead anywhere',
    patches: [
      {
        file: 'src/files/stage.ts',
        from: `if (!target || !staysInside(task.path, targetText(target)))`,
        to: `if (!target)`,
      },
    ],
    tests: [test('sync/links')],
  },
  {
    name: 'a link is taken for a file with the same bytes',
    patches: [
      {
        file: 'src/model/tree.ts',
        from: `return a?.oid === b?.oid && isLink(a) === isLink(b);`,
        to: `return a?.oid === b?.oid;`,
      },
    ],
    tests: [test('sync/links')],
  },
  {
    name: 'the store is not synced',
    patches: [{ file: 'src/store/durable.ts', from: `    await file.sync();\n`, to: '' }],
    tests: [power],
  },
  {
    name: 'the store’s folder is not synced',
    patches: [{ file: 'src/store/durable.ts', from: `    await folder.sync();\n`, to: '' }],
    tests: [power],
  },
  {
    name: 'the journal is not synced',
    patches: [{ file: 'src/files/staging.ts', from: `    fsyncSync(fd);\n`, to: `    void fsyncSync;\n` }],
    tests: [guards],
  },

  // What else keeps an edit.
  {
    name: 'what was moved aside is not put back after a crash',
    patches: [
      {
        file: 'src/files/recovery.ts',
        from: `({ move, how: await undo(fs, handles, move) })`,
        to: `({ move, how: String(undo) === '' ? ('was-live' as const) : ('nothing' as const) })`,
      },
    ],
    tests: [guards],
  },
  {
    name: 'a journal that was not read is taken for an empty one',
    patches: [
      {
        file: 'src/files/staging.ts',
        from: `one.\n    this.#read();\n    const used`,
        to: `one.\n    const used`,
      },
    ],
    tests: [crash('edited while it is down')],
  },
  {
    name: 'a folder that cannot be opened is none',
    patches: [
      {
        file: 'src/files/directory-handles.ts',
        from: `!['ENOTDIR', 'ELOOP'].includes(errorCode(error)) || isOutside(path)) return false;`,
        to: `!['ENOTDIR', 'ELOOP'].includes(errorCode(error)) || isOutside(path)) return errorCode(error) !== 'ENOENT';`,
      },
    ],
    tests: [errno('openDirectory')],
  },
  {
    name: 'rules that cannot be read are none',
    patches: [
      { file: 'src/files/scan.ts', from: `      return everything;`, to: `      return everything && undefined;` },
    ],
    tests: [errno('readSmall')],
  },
  {
    name: 'a lost manifest is a removal',
    patches: [{ file: 'src/files/scan.ts', from: `else this.#unapplied.add(path);`, to: `else this.#gone.add(path);` }],
    tests: [run],
  },
  {
    name: 'an emptied folder is believed',
    patches: [
      {
        file: 'src/files/directory.ts',
        from: `() => emptied === 'not-emptied' && this.#seenAtLeast(2)`,
        to: `() => emptied !== 'not-emptied' && this.#seenAtLeast(2)`,
      },
    ],
    tests: [root],
  },
  {
    name: 'a rewritten branch is pushed over',
    patches: [
      {
        file: 'src/sync/reconcile.ts',
        from: `history !== 'continued' && known`,
        to: `history !== 'continued' && !known`,
      },
    ],
    tests: [run],
  },
  {
    name: 'a branch that went back is followed unasked',
    patches: [
      {
        file: 'src/sync/run.ts',
        from: `return since === 'ahead' || back ? 'back' : 'rewritten';`,
        to: `return back ? 'back' : 'rewritten';`,
      },
    ],
    tests: [wentBack],
  },
  {
    name: 'a push onto the older tip answers whether the branch may have gone back',
    patches: [
      {
        file: 'src/sync/run.ts',
        from: `return since === 'ahead' || back ? 'back' : 'rewritten';`,
        to: `return since === 'ahead' ? 'back' : 'rewritten';`,
      },
    ],
    tests: [wentBack],
  },
  {
    name: 'the lost tip is not kept before the older one is followed',
    patches: [
      {
        file: 'src/sync/went-back.ts',
        from: `  await repository.keep({ cause: 'went-back', at: now(), commit: known, files: 0, bytes: 0 });`,
        to: `  void now;`,
      },
    ],
    tests: [wentBack],
  },
  {
    name: 'lost commits come back through the folder’s edits',
    patches: [{ file: 'src/sync/went-back.ts', from: `base: ledger.base ?? known, `, to: `` }],
    tests: [wentBack],
  },
  {
    name: 'a removal beats an edit',
    patches: [
      {
        file: 'src/sync/conflict.ts',
        from: `if (!theirs) return { entry: ours, live: 'site' };`,
        to: `if (!theirs) return { entry: undefined, live: 'repository' };`,
      },
    ],
    tests: [run],
  },
  {
    name: 'removals may take a folder with them',
    patches: [
      {
        file: 'src/git/take.ts',
        from: `.filter(({ path, mode }) => mode !== undefined || before.has(path))`,
        to: `.filter(({ path }) => path !== '')`,
      },
    ],
    tests: [run],
  },
];
