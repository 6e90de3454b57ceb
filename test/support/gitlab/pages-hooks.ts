/** A project's webhooks for Maintainers: the list with what became of them, and a form to add one by hand. */
import { html } from './html.ts';
import { isoTime } from './model.ts';
import { csrfField, sendPage } from './page-frame.ts';
import type { Visit } from './pages-project.ts';
import type { Practice } from './practice.ts';
import { input, RestError, textOf } from './rest-call.ts';
import { newHook } from './rest-hooks.ts';
import { alertStatus } from './webhooks.ts';

export function hooksPage({ world }: Practice, { ctx, session, project, at }: Visit, problem?: string): void {
  const rows = project.hooks.map((hook) => {
    const last = hook.log[0];
    return html`<tr>
      <td>${hook.url}</td>
      <td>${alertStatus(hook, world.now()).replace('_', ' ')}</td>
      <td>
        ${last ? `${isoTime(last.createdAt)}: ${last.responseStatus} ${last.responseBody.slice(0, 80)}` : 'never sent'}
      </td>
    </tr>`;
  });
  sendPage(
    world,
    ctx,
    'Webhooks',
    html`<section>
        <h2>Project hooks</h2>
        ${
          rows.length === 0
            ? 'No webhooks yet.'
            : html`<table>
                <thead>
                  <tr>
                    <th>URL</th>
                    <th>State</th>
                    <th>Last delivery</th>
                  </tr>
                </thead>
                <tbody>
                  ${rows}
                </tbody>
              </table>`
        }
      </section>
      <section>
        <h2>Add new webhook</h2>
        ${problem === undefined ? '' : html`<p class="problem" role="alert">${problem}</p>`}
        <form method="post" action="${at}/-/hooks">
          ${csrfField(session)}
          <label for="url">URL</label>
          <input id="url" name="url" type="url" required />
          <label for="token">Secret token</label>
          <input id="token" name="token" autocomplete="off" />
          <p class="hint">Push events are sent.</p>
          <button>Add webhook</button>
        </form>
      </section>
      <p><a href="${at}">Back to the project</a></p>`,
  );
}

export async function addHook(practice: Practice, visit: Visit): Promise<void> {
  const { ctx, project, session, at } = visit;
  const given = input(ctx);
  try {
    const hook = await newHook(practice, project, { url: textOf(given, 'url'), token: textOf(given, 'token') });
    project.hooks.push(hook);
    session.notice = 'Webhook was created.';
    ctx.redirect(`${at}/-/hooks`);
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    // Here GitLab says more than its API does.
    hooksPage(practice, visit, 'Invalid url given, or the address is in a network that webhooks may not reach.');
  }
}
