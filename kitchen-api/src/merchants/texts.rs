//! What a store's owner reads about its status, in Brazilian Portuguese. Codes are not translated.

use serde_json::{Value, json};

/// A message as the status shows it; a smaller priority is read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    title: &'static str,
    subtitle: &'static str,
    description: &'static str,
    priority: u8,
}

impl Message {
    const fn new(title: &'static str, subtitle: &'static str, description: &'static str, priority: u8) -> Self {
        Self { title, subtitle, description, priority }
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "title": self.title,
            "subtitle": self.subtitle,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

pub(super) const OPEN: Message = Message::new("Loja aberta", "Dentro do horário programado", "", 0);
pub(super) const OUTSIDE_HOURS: Message = Message::new("Loja fechada", "Fora do horário de funcionamento", "", 1);
pub(super) const PAUSED: Message = Message::new("Loja fechada", "Pausa programada", "", 1);
pub(super) const DISCONNECTED: Message = Message::new(
    "Loja fechada",
    "Sem conexão com a plataforma",
    "O sistema da loja não consulta os pedidos. Verifique a internet e o sistema de gestão.",
    1,
);

pub(super) const CONNECTED_OK: Message = Message::new("Loja conectada", "A loja está recebendo pedidos", "", 1);
pub(super) const CONNECTED_ERROR: Message = Message::new(
    "Loja desconectada",
    "O sistema da loja não está conectado",
    "Nenhuma consulta de pedidos foi recebida nos últimos minutos.",
    1,
);
pub(super) const HOURS_OK: Message = Message::new("Dentro do horário de funcionamento", "", "", 2);
pub(super) const HOURS_CLOSED: Message =
    Message::new("Fora do horário de funcionamento", "A loja abre no próximo horário programado", "", 2);
pub(super) const NO_PAUSE: Message = Message::new("Sem pausas programadas", "", "", 3);
pub(super) const IN_PAUSE: Message = Message::new("Pausa programada em andamento", "", "", 3);
