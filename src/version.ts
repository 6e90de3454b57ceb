/** Of the product, as the pages and the command line tell it. */
export const version = '0.1.0';
