/** What another server of the console needs: its files, and how a server for the people of one machine defends itself. */
export { mayBeAddressedAs } from './addressed.ts';
export { consolePages, type ConsoleSources } from './console-pages.ts';
export { json, type Page, send, text } from './page.ts';
