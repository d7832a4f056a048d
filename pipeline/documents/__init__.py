"""Answers as documents for people: maps to true scale, receipts as QR codes, pages as PDF."""
