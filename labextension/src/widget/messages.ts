/** What the page asks of the kernel: edits of the model, and the messages that carry them. */
import type { Analysis } from './found';

export type Role = 'input' | 'weight' | 'output';
export type Choice = 'auto' | 'bpu' | 'cpu';

export type Edit =
  | { kind: 'SetPlacement'; node: string; on: Choice }
  | { kind: 'InsertUnitConv'; node: string; where: 'before' | 'after' }
  | { kind: 'RemoveUnitConv'; node: string; where: 'before' | 'after'; slot?: number }
  | { kind: 'SetNodeCalibration'; node: string; method: string }
  | ({ kind: 'SetPreprocess'; node: string; rt: string } & Record<string, string>)
  | { kind: 'SetMarch'; march: string }
  | ({ kind: 'SetArithmetic' } & Record<string, string | number>)
  | { kind: 'FixScale'; node: string; scale: number }
  | { kind: 'ClearScale'; node: string }
  | ({ kind: 'SetDtype'; node: string } & Partial<Record<Role, string>>);

export type Message =
  | { type: 'edit'; edits: Edit[]; run?: boolean }
  | { type: 'undo' | 'redo' | 'run' | 'cancel' | 'reset' }
  | {
      type: 'analyse';
      analysis: Analysis;
      options?: Record<string, unknown>;
      /** A notebook variable. */
      samples?: string;
      /** The worst sample of the bad cases by this metric. */
      worst?: string;
    }
  | { type: 'apply'; what: 'candidate'; name: string }
  | { type: 'apply'; what: 'mixed_precision'; top_k?: number }
  | { type: 'apply'; what: 'recipe' }
  | { type: 'apply'; what: 'bisect'; how: 'int16' | 'cpu' }
  | { type: 'apply'; what: 'range_proposals'; nodes: string[] }
  | { type: 'jump'; index: number }
  | { type: 'compare'; index: number | null }
  | { type: 'calibrate'; method: string; percentile?: number; per_channel: boolean }
  | { type: 'select'; node: string }
  | { type: 'collapse'; module: string; collapsed: boolean };
