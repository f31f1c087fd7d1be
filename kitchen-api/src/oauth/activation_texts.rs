//! What the activation page says, in each language. Plain text without markup.

use crate::merchants::language::Language;

/// Every text of the page in one language.
pub(super) struct Texts {
    /// Its tag, for `lang` and `Content-Language`.
    pub(super) language: &'static str,
    pub(super) title: &'static str,
    pub(super) introduction: &'static str,
    pub(super) user_code: &'static str,
    pub(super) portal_key: &'static str,
    pub(super) portal_key_hint: &'static str,
    pub(super) submit: &'static str,
    pub(super) incomplete: &'static str,
    pub(super) refused: &'static str,
    pub(super) too_many: &'static str,
    pub(super) unavailable: &'static str,
    /// The application's name follows.
    pub(super) approved_for: &'static str,
    pub(super) type_code: &'static str,
    pub(super) valid_for: &'static str,
    pub(super) only_there: &'static str,
}

impl Texts {
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::Portuguese => &PORTUGUESE,
            Language::English => &ENGLISH,
            Language::Spanish => &SPANISH,
        }
    }
}

const PORTUGUESE: Texts = Texts {
    language: "pt-BR",
    title: "Autorizar um aplicativo",
    introduction: "Digite o código que aparece no seu sistema de gestão e a chave do portal da sua loja. \
        O aplicativo poderá receber e gerenciar os pedidos desta loja.",
    user_code: "Código do aplicativo",
    portal_key: "Chave do portal",
    portal_key_hint: "A chave do portal é secreta: digite-a somente nesta página e nunca no aplicativo.",
    submit: "Autorizar",
    incomplete: "Preencha o código e a chave do portal.",
    refused: "O código ou a chave do portal não é válido, ou o código expirou. Verifique os dois ou gere um novo código no aplicativo.",
    too_many: "Muitas tentativas. Aguarde alguns minutos e tente novamente.",
    unavailable: "Não foi possível concluir agora. Tente novamente em instantes.",
    approved_for: "Autorização concedida a",
    type_code: "Digite este código no aplicativo:",
    valid_for: "O código vale por 5 minutos e só pode ser usado uma vez.",
    only_there: "Não envie este código a ninguém: digite-o somente no sistema da sua loja.",
};

const ENGLISH: Texts = Texts {
    language: "en",
    title: "Authorise an application",
    introduction: "Type the code that your point of sale shows and the portal key of your store. \
        The application will be able to receive and manage the orders of this store.",
    user_code: "Application code",
    portal_key: "Portal key",
    portal_key_hint: "The portal key is secret: type it on this page only, never in the application.",
    submit: "Authorise",
    incomplete: "Fill in the code and the portal key.",
    refused: "The code or the portal key is not valid, or the code has expired. Check both, or get a new code in the application.",
    too_many: "Too many attempts. Wait some minutes and try again.",
    unavailable: "This is not possible right now. Try again in a moment.",
    approved_for: "Authorisation given to",
    type_code: "Type this code in the application:",
    valid_for: "The code is valid for 5 minutes and can be used once.",
    only_there: "Send this code to nobody: type it only in the system of your store.",
};

const SPANISH: Texts = Texts {
    language: "es",
    title: "Autorizar una aplicación",
    introduction: "Escriba el código que aparece en su sistema de gestión y la clave del portal de su tienda. \
        La aplicación podrá recibir y gestionar los pedidos de esta tienda.",
    user_code: "Código de la aplicación",
    portal_key: "Clave del portal",
    portal_key_hint: "La clave del portal es secreta: escríbala solo en esta página y nunca en la aplicación.",
    submit: "Autorizar",
    incomplete: "Complete el código y la clave del portal.",
    refused: "El código o la clave del portal no es válido, o el código ha vencido. Revise ambos o genere un código nuevo en la aplicación.",
    too_many: "Demasiados intentos. Espere unos minutos y vuelva a intentarlo.",
    unavailable: "No es posible en este momento. Vuelva a intentarlo en unos instantes.",
    approved_for: "Autorización concedida a",
    type_code: "Escriba este código en la aplicación:",
    valid_for: "El código vale 5 minutos y solo se puede usar una vez.",
    only_there: "No envíe este código a nadie: escríbalo solo en el sistema de su tienda.",
};
