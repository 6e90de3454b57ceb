import request from 'supertest';
import { createApp } from '../../src/web/app.ts';
import { miriam, type World } from './support.ts';

/** A person's browser as far as the server can tell: cookies, the token of a session, and where a request comes from. */
export interface Browser {
  get(path: string, headers?: Record<string, string>): request.Test;
  post(path: string, form?: Record<string, string>, headers?: Record<string, string>): request.Test;
}

export const ours = { 'Sec-Fetch-Site': 'same-origin' };

/** Somebody who is signed in. Forms carry the right token unless the test says another. */
export async function signedIn(world: World, cookieName = 'mooring'): Promise<Browser & { id: string; token: string }> {
  const { id, session } = await world.deps.sessions.create(miriam);
  return { ...browser(world, `${cookieName}=${id}`, session.formToken), id, token: session.formToken };
}

/** Somebody who is not. */
export function visitor(world: World): Browser {
  const cookie = 'visitor-cookie-of-a-test';
  return browser(world, `mooring-visitor=${cookie}`, world.deps.sessions.visitorToken(cookie));
}

function browser(world: World, cookie: string, token: string): Browser {
  const app = createApp(world.deps).callback();
  return {
    get: (path, headers = {}) =>
      request(app)
        .get(path)
        .set({ Cookie: cookie, ...headers }),
    post: (path, form = {}, headers = ours) =>
      request(app)
        .post(path)
        .type('form')
        .set({ Cookie: cookie, ...headers })
        .send({ token, ...form }),
  };
}
