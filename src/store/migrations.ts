/** One step: takes data of version `from`, gives data of version `from + 1`. Plain JSON in, plain JSON out. */
interface Migration {
  readonly from: number;
  step(data: unknown): unknown;
}

/** A kind's steps, in any order; there is exactly one from each older version. */
export type Migrations = readonly Migration[];

/**
 * Data of an older version brought to the present one, step by step. The steps are kept for ever: an installation may
 * skip any number of releases. Throws when a step is missing, which is our mistake and no damage.
 */
export function migrate(data: unknown, from: number, to: { version: number; migrations: Migrations }): unknown {
  let value = data;
  for (let version = from; version < to.version; version += 1) {
    const migration = to.migrations.find((m) => m.from === version);
    if (!migration) throw new Error(`no migration from version ${version}`);
    value = migration.step(value);
  }
  return value;
}
