//! The sheet with a store's check-in code: one page for each store, to be printed and hung where couriers arrive. A PDF.
//!
//! Pure; used by `checkin_qrcode`. The code says `urn:comanda:check-in:<merchant id>`: which store this is, and nothing secret. Texts
//! are set in the fonts that every PDF reader has; what these have no sign for (a name in Cyrillic, a pizza) is shown as `?`.

use std::collections::BTreeMap;

use order_model::MerchantId;
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use qrcodegen::{QrCode, QrCodeEcc};

use super::language::Language;

/// A4, in points.
const PAGE_WIDTH: f32 = 595.0;
const PAGE_HEIGHT: f32 = 842.0;
/// Where texts begin.
const MARGIN: f32 = 72.0;
/// The printed code's edge: 14 cm is read from two metres away.
const CODE_EDGE: f32 = 397.0;
/// Free modules around a code, without which readers do not find it (ISO/IEC 18004).
const QUIET_MODULES: i32 = 4;
/// Characters of a name in one line of its size, and lines that are shown.
const NAME_LINE_CHARS: usize = 28;
const NAME_LINES_MAX: usize = 2;

/// A store on its page.
pub(super) struct Store {
    pub(super) id: MerchantId,
    pub(super) name: String,
}

struct Texts {
    language: &'static str,
    title: &'static str,
    instruction: &'static str,
}

impl Texts {
    const fn of(language: Language) -> Self {
        match language {
            Language::Portuguese => Self {
                language: "pt-BR",
                title: "Check-in de entregadores",
                instruction: "Entregador: ao chegar à loja, aponte a câmera do aplicativo para este código.",
            },
            Language::English => Self {
                language: "en",
                title: "Courier check-in",
                instruction: "Courier: when you arrive at the store, point your app's camera at this code.",
            },
            Language::Spanish => Self {
                language: "es",
                title: "Check-in de repartidores",
                instruction: "Repartidor: al llegar a la tienda, apunte la cámara de la aplicación a este código.",
            },
        }
    }
}

/// What the code of a store says.
pub(super) fn code_text(store: MerchantId) -> String {
    format!("urn:comanda:check-in:{store}")
}

/// The language of a sheet, as `Content-Language` names it.
pub(super) const fn language_tag(language: Language) -> &'static str {
    Texts::of(language).language
}

/// The PDF: a page for each of `stores`, in their order.
pub(super) fn sheet(stores: &[Store], language: Language) -> Vec<u8> {
    let texts = Texts::of(language);
    let mut numbers = 1..;
    let mut next = || Ref::new(numbers.next().unwrap_or(i32::MAX));
    let (catalog, tree, information, plain, bold) = (next(), next(), next(), next(), next());
    let pages: Vec<(Ref, Ref)> = stores.iter().map(|_| (next(), next())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree).lang(TextStr(texts.language));
    pdf.pages(tree).kids(pages.iter().map(|(page, _)| *page)).count(i32::try_from(pages.len()).unwrap_or(i32::MAX));
    pdf.document_info(information).title(TextStr(texts.title));
    for (font, name) in [(plain, "Helvetica"), (bold, "Helvetica-Bold")] {
        pdf.type1_font(font).base_font(Name(name.as_bytes())).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    for (store, (page_id, content_id)) in stores.iter().zip(pages) {
        let mut page = pdf.page(page_id);
        page.media_box(Rect::new(0.0, 0.0, PAGE_WIDTH, PAGE_HEIGHT)).parent(tree).contents(content_id);
        page.resources().fonts().pair(PLAIN, plain).pair(BOLD, bold);
        page.finish();
        pdf.stream(content_id, &content(store, &texts));
    }
    pdf.finish()
}

const PLAIN: Name<'static> = Name(b"Plain");
const BOLD: Name<'static> = Name(b"Bold");

fn content(store: &Store, texts: &Texts) -> Vec<u8> {
    let mut content = Content::new();
    let mut line = |font: Name<'_>, size: f32, y: f32, text: &str| {
        content.begin_text().set_font(font, size).next_line(MARGIN, y).show(Str(&win_ansi(text))).end_text();
    };
    line(PLAIN, 18.0, 760.0, texts.title);
    for (number, text) in (0u8..).zip(name_lines(&store.name)) {
        line(BOLD, 28.0, 718.0 - 34.0 * f32::from(number), &text);
    }
    let code_bottom = 220.0;
    line(PLAIN, 12.0, 170.0, texts.instruction);
    line(PLAIN, 9.0, 150.0, &store.id.to_string());
    draw_code(&mut content, &code_text(store.id), code_bottom);
    content.finish().to_vec()
}

/// The code as black squares, in the middle of the page.
fn draw_code(content: &mut Content, text: &str, bottom: f32) {
    let code = QrCode::encode_text(text, QrCodeEcc::Quartile).expect("a text of this one length fits a code");
    let size = code.size();
    let across = u16::try_from(size + 2 * QUIET_MODULES).unwrap_or(u16::MAX);
    let module = CODE_EDGE / f32::from(across);
    let left = (PAGE_WIDTH - CODE_EDGE) / 2.0;
    let at = |modules: i32| f32::from(u16::try_from(modules).unwrap_or(u16::MAX)) * module;
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            // A PDF counts from below.
            content.rect(left + at(x + QUIET_MODULES), bottom + at(size - 1 - y + QUIET_MODULES), module, module);
        }
    }
    content.fill_nonzero();
}

/// A name broken between words, or within one that is too long; what does not fit is left out.
fn name_lines(name: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in name.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > NAME_LINE_CHARS {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            let room = NAME_LINE_CHARS - line.chars().count();
            line.extend(word.chars().take(room));
        }
    }
    lines.truncate(NAME_LINES_MAX);
    lines
}

/// In the encoding of the fonts, Windows-1252.
fn win_ansi(text: &str) -> Vec<u8> {
    let beyond_latin: BTreeMap<char, u8> = [
        ('€', 0x80),
        ('…', 0x85),
        ('‘', 0x91),
        ('’', 0x92),
        ('“', 0x93),
        ('”', 0x94),
        ('•', 0x95),
        ('–', 0x96),
        ('—', 0x97),
    ]
    .into();
    let byte = |sign: char| match u8::try_from(sign) {
        Ok(byte) if (0x20..0x7f).contains(&byte) || byte >= 0xa0 => byte,
        _ => beyond_latin.get(&sign).copied().unwrap_or(b'?'),
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str) -> Store {
        Store { id: MerchantId::from_bytes([7; 16]), name: name.to_owned() }
    }

    #[test]
    fn texts_are_set_in_the_fonts_encoding() {
        assert_eq!(win_ansi("Pão – 5€"), b"P\xe3o \x96 5\x80");
        assert_eq!(win_ansi("Пицца 🍕\n"), b"????? ??");
    }

    #[test]
    fn long_names_are_broken_and_end() {
        assert_eq!(name_lines("Cantina"), ["Cantina"]);
        assert_eq!(name_lines("Cantina da Nona Maria Aparecida Ltda"), ["Cantina da Nona Maria", "Aparecida Ltda"]);
        assert_eq!(name_lines(&"x".repeat(500)), ["x".repeat(NAME_LINE_CHARS)]);
        assert_eq!(name_lines(&"word ".repeat(500)).len(), NAME_LINES_MAX);
        assert_eq!(name_lines(""), [""]);
    }

    #[test]
    fn every_store_has_a_page_and_the_same_input_the_same_bytes() {
        let pdf = sheet(&[store("Um"), store("Dois (2)")], Language::Portuguese);
        assert!(pdf.starts_with(b"%PDF-") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
        let text = String::from_utf8_lossy(&pdf);
        assert_eq!(text.matches("/Type /Page\n").count(), 2, "{text}");
        assert!(text.contains("/Count 2") && text.contains("/Lang (pt-BR)"));
        assert_eq!(pdf, sheet(&[store("Um"), store("Dois (2)")], Language::Portuguese));
        assert_ne!(pdf, sheet(&[store("Um"), store("Dois (2)")], Language::English));
    }
}
