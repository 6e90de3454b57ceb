import { number } from './times.ts';

/** One page out of many, in words and links. */
export interface Pages {
  readonly page: number;
  readonly from: number;
  readonly to: number;
  /** `1 to 50 of 214`; empty when everything fits. */
  readonly words: string;
  readonly newer: string;
  readonly older: string;
}

/** `href` makes the address of a page; numbers out of range lead to the nearest page. */
export function pages(asked: number, perPage: number, total: number, href: (page: number) => string): Pages {
  const last = Math.max(1, Math.ceil(total / perPage));
  const page = Math.min(asked, last);
  const from = (page - 1) * perPage;
  const to = Math.min(from + perPage, total);
  return {
    page,
    from,
    to,
    words: total > perPage ? `${number(from + 1)} to ${number(to)} of ${number(total)}` : '',
    newer: page > 1 ? href(page - 1) : '',
    older: page < last ? href(page + 1) : '',
  };
}

/** A page number from an address: 1 for anything that is none. */
export function pageNumber(text: string | undefined): number {
  return text !== undefined && /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 1;
}
