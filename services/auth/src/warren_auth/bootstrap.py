"""Builds auth from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren_auth.domain.admission import Admission
from warren_auth.domain.subscription_admission import SubscriptionAdmission
from warren_auth.handlers.insecure import warn_for_ever
from warren_auth.handlers.requests import RequestHandler
from warren_auth.metrics import collector
from warren_auth.settings import AuthSettings, subscription_verifier_of, verifier_of
from warren_shared.runtime.service import Context
from warren_shared.topology.catalogue import QueueName


@asynccontextmanager
async def build(context: Context, settings: AuthSettings) -> AsyncIterator[None]:
    """Answer requests while the block runs. Nothing is kept, so there is nothing to drain."""
    admission = Admission(
        verifier_of(settings),
        context.namespaces.current,
        allow_anonymous=settings.allow_anonymous,
        max_channels=settings.max_channels,
        insecure=settings.insecure,
    )
    subscriptions = SubscriptionAdmission(subscription_verifier_of(settings), context.namespaces.current)
    context.namespaces.subscribe(admission.use)
    context.namespaces.subscribe(subscriptions.use)
    handler = RequestHandler(admission, subscriptions, context.clock)
    context.ops.add_metrics(collector(handler, insecure=settings.insecure))
    if settings.insecure:
        context.tasks.create_task(warn_for_ever(), name="warning of insecure mode")
    context.bus.serve(QueueName.AUTH, handler, concurrency=settings.concurrency)
    yield
