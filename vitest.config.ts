import { defaultClientConditions, defaultServerConditions } from 'vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests run the sources: no build is needed first.
  resolve: { conditions: ['@inmesh/source', ...defaultClientConditions] },
  ssr: { resolve: { conditions: ['@inmesh/source', ...defaultServerConditions], externalConditions: ['@inmesh/source', 'node', 'import'] } },
  test: {
    projects: [
      { extends: true, test: { name: 'unit', include: ['packages/*/src/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/**/*.test.ts', 'packages/*/test/**/*.test.ts'], pool: 'forks', fileParallelism: false, testTimeout: 30_000 },
      },
    ],
  },
});
