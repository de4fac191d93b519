import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib', 'node_modules', 'stubs', '**/*.js', '**/*.d.ts', '*.mjs'] },
  { plugins: { jupyter } },
  jupyter.configs.recommended,
  {
    files: ['src/**/*.ts'],
    extends: [js.configs.recommended, tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: 'tsconfig.check.json' } },
    rules: {
      '@typescript-eslint/no-namespace': 'off', // CommandIDs is the idiom of JupyterLab
      '@typescript-eslint/no-floating-promises': 'error',
      curly: ['error', 'all'],
      eqeqeq: 'error'
    }
  },
  {
    files: ['src/lab/index.ts'],
    rules: { 'jupyter/prefer-lazy-imports': 'off' } // rendermime makes renderers synchronously
  },
  {
    files: ['src/core/**/*.ts', 'src/widget/**/*.ts'],
    rules: { 'jupyter/no-untranslated-string': 'off' } // they also run outside of JupyterLab, where nobody translates
  }
);
