#!/usr/bin/env -S node --max-semi-space-size=4
// The guard comes before anything that an old Node could not even parse.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(`Mooring needs Node 22.22 or newer; this is ${process.versions.node}.\n`);
  process.exitCode = 78;
} else {
  // Chokidar obeys these, and a stray one would silently turn file events into polling.
  delete process.env['CHOKIDAR_USEPOLLING'];
  delete process.env['CHOKIDAR_INTERVAL'];
  const { cli } = await import('./cli/program.ts');
  process.exitCode = await cli(process.argv.slice(2));
}

export {};
