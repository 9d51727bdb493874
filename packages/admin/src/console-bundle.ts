import { bundleConsole, type ConsoleFile } from './console-bundler.ts';

/** The console, where there are sources: nothing need be built first. The published package has a module of this name with the finished files. */
export const files: readonly ConsoleFile[] = await bundleConsole();
