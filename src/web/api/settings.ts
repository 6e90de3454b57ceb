import { formsOf, settingsView } from '../../model/settings-document.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';

/** A site's settings: all pages in one document. A change names only what it changes, and is saved whole or not at all. */
export const settingsEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/sites/:id/settings',
    summary: 'Read the settings of a site',
    status: 200,
    answer: shapes.settings,
    tagged: true,
    handle: ({ site }) => settingsView(site()),
  }),
  endpoint({
    method: 'patch',
    path: '/sites/:id/settings',
    summary: 'Change settings of a site',
    body: shapes.settingsChange,
    example: { schedule: { quietSeconds: 2 }, safety: { keepDays: 30 } },
    status: 200,
    answer: shapes.settings,
    tagged: true,
    refusals: { 409: 'A file declares it.' },
    handle: async ({ deps, site, body, by }) => {
      const forms = formsOf(settingsView(site()), body);
      return settingsView(forms.length === 0 ? site() : await deps.settings.saveAll(site().id, forms, by));
    },
  }),
];
