/** Two settings pages: a person's OAuth applications, and the switch for webhooks into the local network. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { createApplication } from './actions.ts';
import { html } from './html.ts';
import type { User, World } from './model.ts';
import { knownScopes } from './oauth-authorize.ts';
import { basePath, csrfField, formIsOurs, requireUser, sendPage, sessionOf } from './page-frame.ts';
import { isRedirectUri } from './redirect-uri.ts';
import { input, textOf } from './rest-call.ts';

export function addApplications(router: Router, world: World): void {
  const address = (): string => `${basePath(world)}/-/user_settings/applications`;

  const show = (ctx: Context, user: User, problem?: string): void => {
    const own = world.applications.filter(({ owner }) => owner === user);
    const rows = own.map(
      ({ name, applicationId, redirectUris, scopes }) =>
        html`<tr>
          <td>${name}</td>
          <td><code>${applicationId}</code></td>
          <td>${redirectUris.join(' ')}</td>
          <td>${scopes.join(' ')}</td>
        </tr>`,
    );
    const boxes = knownScopes.map(
      (scope) => html`<label class="choice"><input type="checkbox" name="scopes" value="${scope}" /> ${scope}</label>`,
    );
    sendPage(
      world,
      ctx,
      'Applications',
      html`<section>
          <h2>Your applications</h2>
          ${
            rows.length === 0
              ? 'None yet.'
              : html`<table>
                  <thead>
                    <tr>
                      <th>Name</th>
                      <th>Application ID</th>
                      <th>Callback URL</th>
                      <th>Scopes</th>
                    </tr>
                  </thead>
                  <tbody>
                    ${rows}
                  </tbody>
                </table>`
          }
        </section>
        <section>
          <h2>Add new application</h2>
          ${problem === undefined ? '' : html`<p class="problem" role="alert">${problem}</p>`}
          <form method="post" action="${address()}">
            ${csrfField(sessionOf(world, ctx))}
            <label for="name">Name</label>
            <input id="name" name="name" required />
            <label for="redirect_uri">Redirect URI</label>
            <textarea id="redirect_uri" name="redirect_uri" rows="2" required></textarea>
            <p class="hint">Use one line per URI</p>
            <label class="choice"><input type="checkbox" name="confidential" value="1" checked /> Confidential</label>
            <fieldset>
              <legend>Scopes</legend>
              ${boxes}
            </fieldset>
            <button>Save application</button>
          </form>
        </section>`,
    );
  };
  router.get('/-/user_settings/applications', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (signedIn) show(ctx, signedIn.user);
  });
  router.get('/-/profile/applications', (ctx) => ctx.redirect(address()));
  router.post('/-/user_settings/applications', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn || !formIsOurs(world, ctx, signedIn.session)) return;
    const given = input(ctx);
    const name = (textOf(given, 'name') ?? '').trim();
    const redirectUris = (textOf(given, 'redirect_uri') ?? '').split(/\s+/).filter(Boolean);
    const chosen: unknown[] = [given['scopes']].flat();
    const scopes = knownScopes.filter((scope) => chosen.includes(scope));
    if (name === '' || redirectUris.length === 0 || !redirectUris.every(isRedirectUri)) {
      return show(ctx, signedIn.user, 'A name and at least one valid redirect URI are needed.');
    }
    if (scopes.length === 0) return show(ctx, signedIn.user, 'Choose at least one scope.');
    const confidential = textOf(given, 'confidential') !== undefined;
    const made = createApplication(world, { name, redirectUris, scopes, confidential, owner: signedIn.user });
    sendPage(
      world,
      ctx,
      `Application: ${name}`,
      html`<section>
        <p class="notice" role="status">The application was created. This is the only time the secret is shown.</p>
        <label for="application_id">Application ID</label>
        <input id="application_id" value="${made.application.applicationId}" readonly />
        <label for="secret">Secret</label>
        <input id="secret" value="${made.secret}" readonly />
        <p>Callback URL: ${redirectUris.join(' ')}</p>
        <p>Scopes: ${scopes.join(' ')}</p>
        <p><a href="${address()}">Continue</a></p>
      </section>`,
    );
  });
}

export function addNetworkSetting(router: Router, world: World): void {
  const address = (): string => `${basePath(world)}/admin/application_settings/network`;
  router.get('/admin', (ctx) => ctx.redirect(address()));
  router.get('/admin/application_settings/network', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn) return;
    const { allowLocalWebhooks } = world.settings;
    const box = allowLocalWebhooks
      ? html`<input type="checkbox" name="allow" value="1" checked />`
      : html`<input type="checkbox" name="allow" value="1" />`;
    sendPage(
      world,
      ctx,
      'Network: outbound requests',
      html`<section>
        <form method="post" action="${address()}">
          ${csrfField(signedIn.session)}
          <label class="choice">${box} Allow requests to the local network from webhooks and integrations</label>
          <p class="hint">In a real GitLab only administrators see this page. Off is the default.</p>
          <button>Save changes</button>
        </form>
      </section>`,
    );
  });
  router.post('/admin/application_settings/network', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn || !formIsOurs(world, ctx, signedIn.session)) return;
    world.settings.allowLocalWebhooks = textOf(input(ctx), 'allow') !== undefined;
    signedIn.session.notice = 'Application settings saved successfully.';
    ctx.redirect(address());
  });
}
