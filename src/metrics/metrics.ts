import { Registry } from 'prom-client';
import type { Site, SiteStatus } from '../model/site.ts';
import type { Clock } from '../model/world.ts';
import { type InstallationNow, installationGauges, siteGauges } from './gauges.ts';
import { type Recorder, createRecorder } from './recorder.ts';

export interface MetricsDeps {
  readonly clock: Clock;
  /** Of so many sites and connections there are series. */
  readonly most: number;
  readonly sites: () => readonly Site[];
  readonly status: (id: Site['id']) => SiteStatus;
  readonly installation: () => Promise<InstallationNow>;
}

export interface Metrics extends Recorder {
  /** The text format of Prometheus. `sites`: only of these, and nothing that tells of others or of the installation. */
  render(sites?: readonly Site[]): Promise<string>;
  /** From now on the event loop is measured. */
  start(): void;
  stop(): void;
}

/** ms between two measurements of the event loop. */
const lagEveryMs = 1_000;

export function createMetrics({ clock, most, sites, status, installation }: MetricsDeps): Metrics {
  const lasting = new Registry();
  const recorder = createRecorder(lasting, () => clock.monotonic());
  const stopped = new AbortController();
  const rows = (those: readonly Site[]) => those.map((site) => ({ site, status: status(site.id) }));

  async function measure(): Promise<void> {
    while (!stopped.signal.aborted) {
      const due = clock.monotonic() + lagEveryMs;
      await clock.sleep(lagEveryMs, stopped.signal).catch(() => {});
      if (!stopped.signal.aborted) recorder.lagged(Math.max(0, clock.monotonic() - due));
    }
  }

  return {
    ...recorder,
    start: () => void measure(),
    stop: () => stopped.abort(),
    async render(those) {
      const bounds = { most, now: clock.now() };
      if (those) return siteGauges(rows(those), bounds).metrics();
      const registers = [installationGauges(await installation(), bounds), siteGauges(rows(sites()), bounds), lasting];
      return (await Promise.all(registers.map((register) => register.metrics()))).join('');
    },
  };
}
