import type { ConflictPolicy, RuleSource } from './site.ts';
import type { SitePath } from './tree.ts';

/** One page of a site's settings, as typed. */
export type SettingsForm =
  | { readonly page: 'schedule'; readonly poll: string; readonly rescan: string; readonly quiet: string }
  | {
      readonly page: 'commits';
      readonly subject: string;
      readonly author: 'connection' | 'fixed';
      readonly authorName: string;
      readonly authorEmail: string;
      readonly skipCi: boolean;
    }
  | {
      readonly page: 'safety';
      readonly policy: ConflictPolicy;
      readonly massPaths: string;
      /** Percent. */
      readonly massShare: string;
      readonly keepDays: string;
      readonly replacesWithoutCapture: boolean;
    }
  | {
      readonly page: 'ignored';
      readonly ignore: string;
      readonly allow: string;
      /** Ids of built-in rules; absent: as they are. */
      readonly builtInRulesOff?: readonly string[];
    }
  | {
      readonly page: 'files';
      readonly fileMiB: string;
      readonly files: string;
      readonly siteGiB: string;
      readonly lfs: boolean;
      readonly executables: boolean;
      readonly links: boolean;
    }
  | {
      readonly page: 'permissions';
      /** `user:group`, or nothing. */
      readonly owner: string;
      /** Octal, or nothing. */
      readonly fileMode: string;
      readonly folderMode: string;
    }
  | { readonly page: 'name'; readonly name: string };

/** What the rules say of a path, whether it exists or not. */
export type PathVerdict =
  | { readonly kind: 'synced' }
  /** `control-file`: only the way from the repository is barred. */
  | { readonly kind: 'control-file' }
  | { readonly kind: 'bad-name' }
  | {
      readonly kind: 'caught';
      readonly by: RuleSource;
      readonly rule: string;
      /** The path itself, or the folder above it that the rule catches. */
      readonly at: SitePath;
    };
