import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib', 'node_modules', 'stubs', '**/*.js', '**/*.d.ts', '*.mjs'] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  { plugins: { jupyter } },
  jupyter.configs.recommended,
  {
    files: ['src/**/*.ts'],
    languageOptions: { parserOptions: { project: 'tsconfig.check.json' } },
    rules: {
      '@typescript-eslint/no-namespace': 'off', // CommandIDs is the Lab idiom
      '@typescript-eslint/no-floating-promises': 'error',
      curly: ['error', 'all'],
      eqeqeq: 'error'
    }
  }
);
