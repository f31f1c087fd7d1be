//! What a store's owner reads about its status, in each language. Codes are not translated.

use serde_json::{Value, json};

use super::language::Language;

/// One text in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Phrase {
    portuguese: &'static str,
    english: &'static str,
    spanish: &'static str,
}

impl Phrase {
    const fn said_in(self, language: Language) -> &'static str {
        match language {
            Language::Portuguese => self.portuguese,
            Language::English => self.english,
            Language::Spanish => self.spanish,
        }
    }
}

/// A message as the status shows it; a smaller priority is read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    title: Phrase,
    subtitle: Phrase,
    description: Phrase,
    priority: u8,
}

impl Message {
    const fn new(title: Phrase, subtitle: Phrase, description: Phrase, priority: u8) -> Self {
        Self { title, subtitle, description, priority }
    }

    pub(super) fn to_json(self, language: Language) -> Value {
        json!({
            "title": self.title.said_in(language),
            "subtitle": self.subtitle.said_in(language),
            "description": self.description.said_in(language),
            "priority": self.priority,
        })
    }
}

/// Portuguese, English, Spanish.
const fn phrase(portuguese: &'static str, english: &'static str, spanish: &'static str) -> Phrase {
    Phrase { portuguese, english, spanish }
}

const NOTHING: Phrase = phrase("", "", "");
const STORE_OPEN: Phrase = phrase("Loja aberta", "Store open", "Tienda abierta");
const STORE_CLOSED: Phrase = phrase("Loja fechada", "Store closed", "Tienda cerrada");
const POLLS_LATE: Phrase = phrase(
    "O sistema da loja está demorando a consultar os pedidos. Verifique a internet e o sistema de gestão.",
    "The store's system is slow to ask for orders. Check the internet connection and the point of sale.",
    "El sistema de la tienda tarda en consultar los pedidos. Revise la conexión a internet y el sistema de gestión.",
);

pub(super) const OPEN: Message = Message::new(
    STORE_OPEN,
    phrase("Dentro do horário programado", "Within the scheduled hours", "Dentro del horario programado"),
    NOTHING,
    0,
);
pub(super) const OPEN_LATE: Message = Message::new(
    STORE_OPEN,
    phrase(
        "Conexão instável com a plataforma",
        "Unsteady connection to the platform",
        "Conexión inestable con la plataforma",
    ),
    POLLS_LATE,
    1,
);
pub(super) const OUTSIDE_HOURS: Message = Message::new(
    STORE_CLOSED,
    phrase("Fora do horário de funcionamento", "Outside opening hours", "Fuera del horario de atención"),
    NOTHING,
    1,
);
pub(super) const PAUSED: Message =
    Message::new(STORE_CLOSED, phrase("Pausa programada", "Scheduled pause", "Pausa programada"), NOTHING, 1);
pub(super) const DISCONNECTED: Message = Message::new(
    STORE_CLOSED,
    phrase("Sem conexão com a plataforma", "Not connected to the platform", "Sin conexión con la plataforma"),
    phrase(
        "O sistema da loja não consulta os pedidos. Verifique a internet e o sistema de gestão.",
        "The store's system does not ask for orders. Check the internet connection and the point of sale.",
        "El sistema de la tienda no consulta los pedidos. Revise la conexión a internet y el sistema de gestión.",
    ),
    1,
);

pub(super) const CONNECTED_OK: Message = Message::new(
    phrase("Loja conectada", "Store connected", "Tienda conectada"),
    phrase("A loja está recebendo pedidos", "The store is receiving orders", "La tienda está recibiendo pedidos"),
    NOTHING,
    1,
);
pub(super) const CONNECTED_LATE: Message = Message::new(
    phrase("Conexão instável", "Unsteady connection", "Conexión inestable"),
    phrase(
        "Há mais de um minuto sem consulta de pedidos",
        "No request for orders for more than a minute",
        "Más de un minuto sin consulta de pedidos",
    ),
    POLLS_LATE,
    1,
);
pub(super) const CONNECTED_ERROR: Message = Message::new(
    phrase("Loja desconectada", "Store disconnected", "Tienda desconectada"),
    phrase(
        "O sistema da loja não está conectado",
        "The store's system is not connected",
        "El sistema de la tienda no está conectado",
    ),
    phrase(
        "Nenhuma consulta de pedidos foi recebida nos últimos minutos.",
        "No request for orders has arrived in the last minutes.",
        "No se ha recibido ninguna consulta de pedidos en los últimos minutos.",
    ),
    1,
);
pub(super) const HOURS_OK: Message = Message::new(
    phrase("Dentro do horário de funcionamento", "Within opening hours", "Dentro del horario de atención"),
    NOTHING,
    NOTHING,
    2,
);
pub(super) const HOURS_CLOSED: Message = Message::new(
    phrase("Fora do horário de funcionamento", "Outside opening hours", "Fuera del horario de atención"),
    phrase(
        "A loja abre no próximo horário programado",
        "The store opens at its next scheduled hours",
        "La tienda abre en el próximo horario programado",
    ),
    NOTHING,
    2,
);
pub(super) const NO_PAUSE: Message =
    Message::new(phrase("Sem pausa em andamento", "No pause in progress", "Sin pausa en curso"), NOTHING, NOTHING, 3);
pub(super) const IN_PAUSE: Message = Message::new(
    phrase("Pausa programada em andamento", "Scheduled pause in progress", "Pausa programada en curso"),
    NOTHING,
    NOTHING,
    3,
);
pub(super) const RADIUS_OK: Message = Message::new(
    phrase("Área de entrega sem restrição", "Delivery area not restricted", "Área de entrega sin restricción"),
    NOTHING,
    NOTHING,
    4,
);
pub(super) const PAYOUT_OK: Message =
    Message::new(phrase("Repasses sem bloqueio", "Payouts not blocked", "Pagos sin bloqueo"), NOTHING, NOTHING, 5);
pub(super) const LOGISTICS_OK: Message = Message::new(
    phrase("Logística sem bloqueio", "Logistics not blocked", "Logística sin bloqueo"),
    NOTHING,
    NOTHING,
    6,
);
pub(super) const TERMS_OK: Message = Message::new(
    phrase("Termos de serviço respeitados", "Terms of service respected", "Términos de servicio respetados"),
    NOTHING,
    NOTHING,
    7,
);
pub(super) const SWITCHED_ON: Message =
    Message::new(phrase("Loja ativa", "Store active", "Tienda activa"), NOTHING, NOTHING, 8);
