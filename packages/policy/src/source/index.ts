export type { Closeable, Pace, PolicySource, SourceUpdate } from './source.ts';
export { fileSource, type FileSourceOptions } from './file.ts';
export { readTexts } from './files.ts';
export { httpSource, type HttpSourceOptions } from './http.ts';
export { joinSources } from './join.ts';
export { type LastGood, lastGoodFile } from './last-good.ts';
export { memorySource, type MemorySource } from './memory.ts';
export { type PolicySpec, sourceFrom } from './from.ts';
export {
  type DocumentHandlers,
  firstDocument,
  type FirstOptions,
  NoDocumentError,
  type Rejection,
  watchDocument,
  type WatchOptions,
} from './watch-document.ts';
