import type { SourceText } from '../document.ts';

/** What a source has to say: all texts of the document as they are now, or why it cannot tell. A failure changes nothing. */
export type SourceUpdate =
  | { readonly ok: true; readonly texts: readonly SourceText[]; readonly version: string }
  | {
      readonly ok: false;
      /** A sentence for people: what was asked, what was found. */
      readonly reason: string;
      /** Waiting alone may cure it (server starting, network); a missing file or a 403 will not go away so soon. */
      readonly transient: boolean;
    };
