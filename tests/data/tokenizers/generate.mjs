// Writes variants.json: what Hugging Face tokenizers make of each component that a tokenizer.json
// of type BPE may name. See README.md.
import fs from 'node:fs';
import tokenizers from 'tokenizers';

const here = new URL('.', import.meta.url);
const read = (name) => JSON.parse(fs.readFileSync(new URL(name, here)));

// ---- Texts -----------------------------------------------------------------------------------

let state = 1n;
const random = (n) => {  // a 64-bit linear congruential generator: the same file on every machine
  state = (state * 6364136223846793005n + 1442695040888963407n) % (1n << 64n);
  return Number((state >> 33n) % BigInt(n));
};
const alphabet = [
  ...' \t\n\r  abcABCdeftonil0123٣½Ⅷ.,!?\'"-_éÉßſİΣσςﬁＡ中文가각😀👩🏽<>|',
  ...'\u0301\u200d\u3000\u00a0\u2028\u0085\u000b\u001c',
];
const randomText = () =>
  Array.from({length: 1 + random(40)}, () => alphabet[random(alphabet.length)]).join('');

const texts = [
  '', ' ', '  ', 'a', ' a', 'a ', '\n', 'a\n\n  b', 'The CAT and the hat.',
  "don't I'LL they'RE we'ſ", 'one, two;three  -- four!?', '123 4567 8.9 ٣٤٥ ½ Ⅷ',
  'line one\nline two\r\nline three\u2028four\u0085five', 'CamelCaseWords ABCdef',
  'café cafe\u0301 ÅÅ ﬁﬂ ＡＢＣ １２ ½ ㎏ İI ΣΑΣ ǅ',
  '한국어 각 각 日本語 中文字', '😀 👩🏽‍🚒 x\u200dy',
  '<|endoftext|>x <|endoftext|> <|md_reserved_0|><|md_reserved_1|>', '\u0000\u0001\u007f',
  'tokens [A] x[A]y  [A]  z, [B] x[B]y  [B]  z, [AB] [A B] [a] [b]', ' [L]  [R]  [L][R] \t[LR]\n ',
  'word words sword word. word_ wordé ·word· word\u0301 \u0301word word',
  '  [R]  [S] [S]x x[S] [C][c] [C]', ' é e\u0301[É]É',
  ...Array.from({length: 25}, randomText),
];

// ---- Vocabularies ----------------------------------------------------------------------------

// As converted from sentencepiece: "▁" for spaces, a token for each byte.
const characterModel = (bytes, settings) => {
  const tokens = ['<unk>', '<s>', '</s>'];
  for (let byte = 0; byte < 256; ++byte) {
    if (bytes(byte)) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  }
  tokens.push(...'▁abcdefghijklmnopqrstuvwxyzABCT.,é');
  const merges = [
    ['▁', 't'], ['h', 'e'], ['▁t', 'he'], ['a', 'n'], ['an', 'd'], ['▁', 'and'], ['a', 't'],
    ['c', 'at'], ['▁', '▁'], ['▁▁', '▁▁'], ['w', 'o'], ['r', 'd'], ['wo', 'rd'], ['▁', 'word'],
    ['l', 'l'], ['o', 'n'], ['l', 'i'], ['li', 'n'], ['lin', 'e'], ['▁t', 'o'], ['n', 'd'],
    ['h', 'at'], ['▁the', '▁'], ['▁', 'a'],
  ];
  tokens.push(...merges.map((pair) => pair.join('')));
  const vocab = Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
  // In no merge's reach, for ignore_merges.
  vocab['hello'] = Object.keys(vocab).length;
  vocab['▁T'] = Object.keys(vocab).length;
  return {type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null,
          end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: false,
          vocab, merges, ...settings};
};

const bytes = {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false};
const cut = (pattern, behavior, invert = false) => ({
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [{type: 'Split', pattern, behavior, invert}, bytes],
  },
});
const before = (pretokenizer) =>
  ({pre_tokenizer: {type: 'Sequence', pretokenizers: [pretokenizer, bytes]}});
const normalize = (...normalizers) => ({
  normalizer: normalizers.length == 1 ? normalizers[0] : {type: 'Sequence', normalizers},
});
const added = (...tokens) => ({
  added_tokens: tokens.map(([content, flags], index) => ({
    id: 3000 + index, content, single_word: false, lstrip: false, rstrip: false,
    normalized: false, special: false, ...flags,
  })),
});
const fromSentencePiece = {
  added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({
    id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true,
  })),
  ...normalize({type: 'Prepend', prepend: '▁'},
               {type: 'Replace', pattern: {String: ' '}, content: '▁'}),
  pre_tokenizer: null,
  decoder: {
    type: 'Sequence',
    decoders: [
      {type: 'Replace', pattern: {String: '▁'}, content: ' '}, {type: 'ByteFallback'},
      {type: 'Fuse'}, {type: 'Strip', content: ' ', start: 1, stop: 0},
    ],
  },
};
const all = () => true;

const lowercase = {type: 'Lowercase'};
const special = {special: true};
const variants = {
  // Every behaviour of a split, of matches and of what lies between them.
  ...Object.fromEntries(
      ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'].flatMap(
          (behavior) => [false, true].map((invert) => [
            `split ${behavior}${invert ? ' inverted' : ''}`,
            cut({Regex: '\\s'}, behavior, invert)]))),
  'split string': cut({String: ' '}, 'MergedWithNext'),
  'split string of several characters': cut({String: '  '}, 'Isolated'),
  'split empty match': cut({Regex: '(?=[A-Z])'}, 'Isolated'),
  'split empty match merged': cut({Regex: '(?=[A-Z])|\\s*'}, 'MergedWithPrevious'),
  'split empty match merged with next': cut({Regex: '\\s*'}, 'MergedWithNext'),
  'split at beginnings of lines': cut({Regex: '^..'}, 'Isolated'),
  'split at ends of lines': cut({Regex: '..$'}, 'Isolated'),
  'split dot': cut({Regex: '.+'}, 'Removed'),
  'split word boundary': cut({Regex: '\\w+'}, 'Isolated'),
  'split digit class': cut({Regex: '\\d+'}, 'Isolated'),
  'split script': cut({Regex: '[\\p{Han}\\p{Hangul}]+|[^\\S\\n]+'}, 'Isolated'),
  'split cl100k': cut({
    Regex: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| " +
           '?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'}, 'Isolated'),
  'split o200k': cut({
    Regex: '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*' +
           "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|" +
           '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+' +
           "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| " +
           '?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'}, 'Removed', true),
  'digits individual': before({type: 'Digits', individual_digits: true}),
  'digits together': before({type: 'Digits', individual_digits: false}),
  'whitespace': before({type: 'Whitespace'}),
  'whitespace split': before({type: 'WhitespaceSplit'}),
  'byte level': {pre_tokenizer: {...bytes, use_regex: true}},
  'byte level without words': {pre_tokenizer: bytes},
  'byte level with prefix space': {pre_tokenizer: {...bytes, add_prefix_space: true}},
  'byte level of lines with prefix space': {
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {type: 'Split', pattern: {Regex: '\\n'}, behavior: 'MergedWithPrevious', invert: false},
        {...bytes, add_prefix_space: true, use_regex: true},
      ],
    },
  },

  'normalizer NFC': normalize({type: 'NFC'}),
  'normalizer NFD': normalize({type: 'NFD'}),
  'normalizer NFKC': normalize({type: 'NFKC'}),
  'normalizer NFKD': normalize({type: 'NFKD'}),
  'normalizer Lowercase': normalize(lowercase),
  'normalizer Prepend': normalize({type: 'Prepend', prepend: 'a '}),
  'normalizer Replace': normalize({type: 'Replace', pattern: {Regex: '\\s+'}, content: '$0 '}),
  'normalizer Prepend to nothing': normalize(
      {type: 'Replace', pattern: {Regex: '\\s+'}, content: ''}, {type: 'Prepend', prepend: 'a '}),
  'normalizer Sequence': normalize(
      {type: 'NFD'}, {type: 'Replace', pattern: {Regex: '\\p{Mn}'}, content: ''}, lowercase,
      {type: 'NFKC'}),

  'added plain': added(['[A]'], ['[B]', special], ['[AB]'], ['[A'], ['  ']),
  'added stripping': added(['[L]', {lstrip: true}], ['[R]', {rstrip: true}],
                           ['[LR]', {lstrip: true, rstrip: true, special: true}], [' '], ['\t']),
  'added single word': added(['word', {single_word: true}], ['[S]', {single_word: true}]),
  'added normalized': {
    ...normalize(lowercase),
    ...added(['[A]', {normalized: true}], ['[b]', {normalized: true, special: true}], ['[C]'],
             ['[c]', {normalized: true, rstrip: true}], ['THE', {normalized: true}]),
  },
  'added equal when normalized': {
    ...normalize(lowercase),
    ...added(['[B]', {normalized: true}], ['[A]', {normalized: true}], ['[a]', {normalized: true}],
             ['[b]', {normalized: true, special: true}]),
  },
  'added normalized by NFC': {
    ...normalize({type: 'NFC'}),
    ...added(['[E\u0301]', {normalized: true}], ['e\u0301', {normalized: true}]),
  },

  'byte fallback': {
    ...fromSentencePiece,
    model: characterModel(all, {byte_fallback: true, unk_token: '<unk>', fuse_unk: true}),
  },
  'byte fallback with bytes missing': {
    ...fromSentencePiece,
    model: characterModel((byte) => byte < 0xE4, {byte_fallback: true, unk_token: '<unk>'}),
  },
  'unknown': {...fromSentencePiece, model: characterModel(all, {unk_token: '<unk>'})},
  'unknown fused': {
    ...fromSentencePiece, model: characterModel(all, {unk_token: '<unk>', fuse_unk: true}),
  },
  'unknown dropped': {...fromSentencePiece, model: characterModel(all, {})},
  'merges obeyed': {
    ...fromSentencePiece, normalizer: null, pre_tokenizer: {type: 'WhitespaceSplit'},
    model: characterModel(all, {}),
  },
  'merges ignored': {
    ...fromSentencePiece, normalizer: null, pre_tokenizer: {type: 'WhitespaceSplit'},
    model: characterModel(all, {ignore_merges: true}),
  },
  'no decoder': {
    ...fromSentencePiece, decoder: null, model: characterModel(all, {byte_fallback: true}),
  },
  'decoder ByteFallback alone': {
    ...fromSentencePiece, decoder: {type: 'ByteFallback'},
    model: characterModel(all, {byte_fallback: true}),
  },
  // Either end on its own: the library panics where the same characters belong to both.
  'decoder Strip start': {
    ...fromSentencePiece, model: characterModel(all, {byte_fallback: true}),
    decoder: {type: 'Strip', content: '▁', start: 2, stop: 0},
  },
  'decoder Strip stop': {
    ...fromSentencePiece, model: characterModel(all, {byte_fallback: true}),
    decoder: {type: 'Strip', content: '▁', start: 0, stop: 1},
  },
  'decoder Replace by expression': {
    ...fromSentencePiece, model: characterModel(all, {byte_fallback: true}),
    decoder: {type: 'Replace', pattern: {Regex: '[▁a]+'}, content: '_'},
  },
};

// ---- Output ----------------------------------------------------------------------------------

const out = [];
for (const [name, sections] of Object.entries(variants)) {
  // The superword vocabulary merges across words, so that every boundary shows.
  const tokenizer = tokenizers.Tokenizer.fromString(
      JSON.stringify({...read('superword.json'), ...sections}));
  const vocabulary = Object.values(tokenizer.getVocab(true)).sort((a, b) => a - b);
  const decodes = async (ids) => {
    const decoded = await tokenizer.decode(ids, true);
    const decoded_with_special = await tokenizer.decode(ids, false);
    return {ids, decoded, ...(decoded_with_special != decoded && {decoded_with_special})};
  };
  const cases = [];
  for (const text of name == 'merges ignored' ? [...texts, 'hello ▁T Thello hello'] : texts) {
    const encoding = await tokenizer.encode(text, null, {addSpecialTokens: false});
    cases.push({text, ...await decodes(encoding.getIds())});
  }
  // Ids in no sensible order, with broken characters.
  for (let i = 0; i < 6; ++i) {
    cases.push(await decodes(Array.from(
        {length: 1 + random(24)}, () => vocabulary[random(vocabulary.length)])));
  }
  out.push({name, sections, cases});
}
const lines = out.map(({name, sections, cases}) =>
    `{"name":${JSON.stringify(name)},"sections":${JSON.stringify(sections)},"cases":[\n` +
    cases.map((c) => JSON.stringify(c)).join(',\n') + ']}');
fs.writeFileSync(new URL('variants.json', here), `[\n${lines.join(',\n')}\n]\n`);
console.log(`${out.length} variants, ${out[0].cases.length} cases each`);
